//! Answers that wait for their time: one wheel of milliseconds for all connections of an issuer.

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Pending {
    /// The connection it leaves on.
    pub(super) line: u32,
    /// The framed answer.
    pub(super) frame: Vec<u8>,
    /// The STAN that is free once it has left.
    pub(super) closes: Option<domain::ids::Stan>,
}

/// A hashed timing wheel. An answer whose time is more than one turn ahead stays for further turns.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: Vec<Vec<(u64, Pending)>>,
    /// Everything before this millisecond has been taken out.
    cursor: u64,
    len: usize,
    /// Buffers to be used again.
    spare: Vec<Vec<u8>>,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            slots: std::iter::repeat_with(Vec::new).take(SLOTS).collect(),
            cursor: 0,
            len: 0,
            spare: Vec::new(),
        }
    }

    /// An empty buffer for a frame.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Gives a buffer back.
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Puts an answer in that is due at a time in nanoseconds: never before it, at most one
    /// millisecond after.
    pub(super) fn insert(&mut self, due: u64, pending: Pending) {
        let tick = (due.div_ceil(TICK)).max(self.cursor);
        if let Some(slot) = self.slots.get_mut(place(tick)) {
            slot.push((tick, pending));
            self.len += 1;
        }
    }

    /// Takes out what is due at `now`, slot by slot.
    pub(super) fn advance(&mut self, now: u64, mut take: impl FnMut(&mut Self, Pending)) {
        let end = now / TICK + 1;
        if self.len == 0 {
            self.cursor = self.cursor.max(end);
            return;
        }
        // After a pause longer than a turn every slot is looked at once.
        let first = self.cursor.max(end.saturating_sub(SLOTS as u64));
        for tick in first..end {
            let Some(slot) = self.slots.get_mut(place(tick)) else {
                continue;
            };
            let mut waiting = std::mem::take(slot);
            let mut at = 0;
            while let Some((due, _)) = waiting.get(at) {
                if *due < end {
                    let (_, pending) = waiting.swap_remove(at);
                    self.len -= 1;
                    take(self, pending);
                } else {
                    at += 1;
                }
            }
            if let Some(slot) = self.slots.get_mut(place(tick)) {
                waiting.append(slot);
                *slot = waiting;
            }
        }
        self.cursor = self.cursor.max(end);
    }

    /// Answers that wait.
    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

fn place(tick: u64) -> usize {
    crate::numeric::index(tick % SLOTS as u64)
}

const TICK: u64 = 1_000_000;
const SLOTS: usize = 8_192;
const SPARE_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(line: u32) -> Pending {
        Pending {
            line,
            frame: Vec::new(),
            closes: None,
        }
    }

    fn due(wheel: &mut Wheel, now_ms: u64) -> Vec<u32> {
        let mut lines = Vec::new();
        wheel.advance(now_ms * TICK, |_, pending| lines.push(pending.line));
        lines.sort_unstable();
        lines
    }

    #[test]
    fn answers_leave_at_their_time_and_never_before() {
        let mut wheel = Wheel::new();
        wheel.insert(5 * TICK + 1, pending(6));
        wheel.insert(5 * TICK, pending(5));
        wheel.insert(20_000 * TICK, pending(20));
        assert!(due(&mut wheel, 4).is_empty());
        assert_eq!(due(&mut wheel, 5), [5]);
        assert_eq!(due(&mut wheel, 6), [6]);
        // Its slot is passed twice before its time.
        for now in 7..20_000 {
            assert!(due(&mut wheel, now).is_empty(), "{now}");
        }
        assert_eq!(due(&mut wheel, 20_000), [20]);
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn a_long_pause_loses_nothing() {
        let mut wheel = Wheel::new();
        for line in 0..30_000 {
            wheel.insert(u64::from(line) * TICK, pending(line));
        }
        assert_eq!(due(&mut wheel, 29_999).len(), 30_000);
        wheel.insert(3 * TICK, pending(1));
        assert_eq!(due(&mut wheel, 30_000), [1], "what is overdue leaves next");
    }

    #[test]
    fn buffers_are_used_again() {
        let mut wheel = Wheel::new();
        let mut buffer = wheel.buffer();
        buffer.extend_from_slice(b"frame");
        let capacity = buffer.capacity();
        wheel.recycle(buffer);
        let again = wheel.buffer();
        assert!(again.is_empty() && again.capacity() == capacity);
    }
}
