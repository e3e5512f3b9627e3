//! A queue between threads: several may take from it, many items at once, until a moment.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Unbounded: whoever puts into it holds a permit for each item.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    stirred: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

/// What came of waiting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<T> {
    /// At least one item, in their order.
    Items(Vec<T>),
    /// Nothing came until then.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

impl<T> Queue<T> {
    pub(super) const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                closed: false,
            }),
            stirred: Condvar::new(),
        }
    }

    /// Nothing under the lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the item back if the queue is closed.
    pub(super) fn put(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        drop(state);
        self.stirred.notify_one();
        Ok(())
    }

    /// Takes up to `limit` of what waits, or waits for something.
    pub(super) fn take(&self, limit: usize, until: Option<Instant>) -> Taken<T> {
        let mut state = self.lock();
        loop {
            if !state.items.is_empty() {
                let count = state.items.len().min(limit.max(1));
                return Taken::Items(state.items.drain(..count).collect());
            }
            if state.closed {
                return Taken::Closed;
            }
            let Some(until) = until else {
                state = self
                    .stirred
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Taken::Nothing;
            }
            (state, _) = self
                .stirred
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes one item, or waits for it. None when nothing will come any more.
    pub(super) fn next(&self) -> Option<T> {
        match self.take(1, None) {
            Taken::Items(items) => items.into_iter().next(),
            Taken::Nothing | Taken::Closed => None,
        }
    }

    /// Takes nothing more in. What is in it can still be taken out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.stirred.notify_all();
    }

    /// Closes it, and hands out what nobody will take any more.
    pub(super) fn abandon(&self) -> VecDeque<T> {
        self.close();
        std::mem::take(&mut self.lock().items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out_in_its_order_also_after_the_close() {
        let queue = Queue::new();
        for item in 0..5 {
            queue.put(item).unwrap();
        }
        assert_eq!(queue.take(2, None), Taken::Items(vec![0, 1]));
        queue.close();
        assert_eq!(queue.put(9), Err(9));
        assert_eq!(queue.next(), Some(2));
        assert_eq!(queue.take(9, None), Taken::Items(vec![3, 4]));
        assert_eq!(queue.take(9, None), Taken::Closed);
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn a_wait_ends_with_its_moment_with_an_item_or_with_the_close() {
        let queue = Queue::new();
        assert_eq!(queue.take(1, Some(Instant::now())), Taken::Nothing);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| (queue.next(), queue.next()));
            queue.put(1).unwrap();
            queue.close();
            assert_eq!(waiting.join().unwrap(), (Some(1), None));
        });
    }
}
