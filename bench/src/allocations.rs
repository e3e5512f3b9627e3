//! Counts what a thread allocates: "no allocation" is a number here, not a belief.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// One counter per thread, so that tests beside each other do not count for each other.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, with a count of the calls that hand out memory. Install it with
/// `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting;

fn note() {
    // A thread that is ending has no counter any more, and nobody who asks for it.
    let _ending = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged. Counting touches a thread-local
// number that was initialised at compile time, which itself allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// How many times this thread asked for memory while `work` ran. Always 0 where [`Counting`] is
/// not the global allocator.
pub fn during(work: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

/// Whether [`Counting`] counts in this program: a count of 0 means nothing where it does not.
#[must_use]
pub fn are_counted() -> bool {
    during(|| drop(std::hint::black_box(Box::new(1_u64)))) > 0
}
