//! How many connections each address has with one listener or one gateway on one shard: whoever
//! takes too many places is refused the next one, and nobody else is.
//!
//! Pure: it names no clock and no socket. Bounded by the connections that are open, for an address
//! without any is forgotten.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

use ahash::AHashMap;

/// The places of one listener or gateway.
#[derive(Debug)]
pub(crate) struct Places {
    taken: RefCell<AHashMap<IpAddr, u32>>,
    /// Of one address; `None` is no bound, and nothing is counted.
    most: Option<u32>,
}

impl Places {
    pub(crate) fn new(most: Option<u32>) -> Rc<Self> {
        Rc::new(Self {
            taken: RefCell::default(),
            most,
        })
    }

    /// A place for one connection, given back when it is dropped; `None` when its address has as
    /// many as it may. Who has gone before the kernel could say where it came from takes none.
    pub(super) fn take(self: &Rc<Self>, from: Option<IpAddr>) -> Option<Place> {
        let (Some(most), Some(from)) = (self.most, from) else {
            return Some(Place(None));
        };
        let from = network(from);
        let mut taken = self.taken.borrow_mut();
        let count = taken.get(&from).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        taken.insert(from, count + 1);
        Some(Place(Some((Rc::clone(self), from))))
    }
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Place(Option<(Rc<Places>, IpAddr)>);

impl Drop for Place {
    fn drop(&mut self) {
        let Some((places, from)) = self.0.take() else {
            return;
        };
        let mut taken = places.taken.borrow_mut();
        let left = taken.get(&from).map(|count| count.saturating_sub(1));
        debug_assert!(left.is_some(), "invariant: a place was taken before");
        match left {
            Some(left @ 1..) => drop(taken.insert(from, left)),
            Some(0) | None => drop(taken.remove(&from)),
        }
    }
}

/// Whoever has one address of IPv6 has all of its /64.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let prefix = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn an_address_has_as_many_places_as_it_may_and_no_other_pays_for_it() {
        let places = Places::new(Some(2));
        let first = places.take(Some(ONE)).unwrap();
        let _second = places.take(Some(ONE)).unwrap();
        assert!(places.take(Some(ONE)).is_none());
        let _other = places.take(Some(OTHER)).unwrap();
        drop(first);
        let _third = places.take(Some(ONE)).unwrap();
        assert!(places.take(Some(ONE)).is_none());
    }

    #[test]
    fn of_ipv6_each_64_is_one_address_and_a_mapped_one_is_that_of_ipv4() {
        let places = Places::new(Some(1));
        let near = |low| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, low));
        let _near = places.take(Some(near(1))).unwrap();
        assert!(places.take(Some(near(2))).is_none());
        let far = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1));
        let _far = places.take(Some(far)).unwrap();
        let mapped = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        let _mapped = places.take(Some(mapped)).unwrap();
        assert!(places.take(Some(ONE)).is_none());
    }

    #[test]
    fn an_address_without_a_connection_takes_no_memory() {
        let places = Places::new(Some(3));
        let address = |number: u32| IpAddr::V4(Ipv4Addr::from(number));
        let open: Vec<_> = (0..100).map(|n| places.take(Some(address(n)))).collect();
        assert_eq!(places.taken.borrow().len(), 100);
        drop(open);
        assert!(places.taken.borrow().is_empty());
    }

    #[test]
    fn without_a_bound_nothing_is_counted() {
        let places = Places::new(None);
        let _open: Vec<_> = (0..100).map(|_| places.take(Some(ONE)).unwrap()).collect();
        assert!(places.taken.borrow().is_empty());
        let bounded = Places::new(Some(1));
        let _unknown = bounded.take(None).unwrap();
        assert!(bounded.take(None).is_some());
    }
}
