//! How often the codec and its peers take memory to read and to write the message of the bench.
//!
//! The operations are those of `benches/codec_peers.rs`, each done once before the count begins.
//! Ours must take none. `cargo run --locked -p njia-benches --example peer_allocations`

#[path = "../benches/peers/mod.rs"]
#[expect(dead_code, reason = "shared with the bench")]
mod peers;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use peers::message::Form;
use peers::{Side, Visitor};

/// Counts what this thread takes from the system.
struct Counting;

thread_local! {
    static TAKEN: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

fn take(size: usize) {
    let (count, bytes) = TAKEN.get();
    TAKEN.set((count + 1, bytes + size as u64));
}

// SAFETY: every call goes to the system's allocator unchanged. Safe code does not do: only a global
// allocator sees every allocation. `main` shows that it counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Prints what one operation takes.
struct Counter;

impl Visitor for Counter {
    fn visit<R>(&mut self, side: Side, name: &str, _: Form, operation: impl FnMut() -> R) {
        let mut operation = operation;
        drop(black_box(operation()));
        let before = TAKEN.get();
        for _ in 0..ROUNDS {
            drop(black_box(operation()));
        }
        let after = TAKEN.get();
        let count = (after.0 - before.0) as f64 / ROUNDS as f64;
        let bytes = (after.1 - before.1) as f64 / ROUNDS as f64;
        println!("{side:?} {name:<53} {count:>7.1} allocations {bytes:>9.0} bytes");
        assert!(
            !name.starts_with("njia") || count == 0.0,
            "{name} allocates"
        );
    }
}

const ROUNDS: u64 = 1_000;

fn main() {
    peers::yaml_spec::with_spec();
    let before = TAKEN.get();
    drop(black_box(Box::new(7_u64)));
    assert_eq!(
        TAKEN.get(),
        (before.0 + 1, before.1 + 8),
        "the counter counts"
    );
    peers::each(&mut Counter);
}
