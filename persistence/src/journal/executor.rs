//! The executor that shards and journals run on.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use glommio::timer::Timer;
use glommio::{LocalExecutorBuilder, Placement};

/// An executor without glommio's preemption timer.
///
/// glommio 0.9.0 arms that timer, polls its rings, and runs its tasks. When the timer fires before
/// the first task has run, as it does when the thread lost its core meanwhile, it takes the round
/// for an idle one and goes to sleep with tasks that could run, and with no timer to wake it: their
/// timers have fired already. (Repaired by pull request 53 of glommio/glommio, in no release
/// yet.) So the timer is put off for ever. What preempts without it is every completion on the ring
/// of the sockets, and the end of the runnable tasks: whoever goes on without waiting for anything
/// calls [`yield_to_rings`].
#[must_use]
pub fn executor(placement: Placement) -> LocalExecutorBuilder {
    LocalExecutorBuilder::new(placement).preempt_timer(NEVER)
}

/// Lets the other tasks run, and then the executor look at its rings and its timers.
///
/// A plain yield leaves the task runnable. On an [`executor`] whose tasks always can run and whose
/// sockets are silent, no completion of the disk would be seen any more, and no timer would fire.
pub async fn yield_to_rings() {
    let mut timer = Timer::new(NEVER);
    let mut has_waited = false;
    let turn = poll_fn(|context| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        // Only a timer that was waited for is looked at where the rings are, however short it is.
        let waited = pin!(&mut timer).poll(context);
        timer.reset(Duration::ZERO);
        waited.map(drop)
    });
    turn.await;
}

/// Longer than a machine is ever stopped in the middle of a round.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};
    use std::rc::Rc;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Instant;

    use rustix::process::{Pid, Signal, kill_process};

    use glommio::io::DmaFile;

    use super::*;
    use crate::journal::testing::disk_dir;

    const TEST: &str = "journal::executor::tests::an_executor_that_is_stopped_anywhere_goes_on";
    const ROLE: &str = "NJIA_TEST_EXECUTOR_CHILD";
    const STOPS: u32 = 400;

    /// Runs itself in a process of its own and stops that process for longer than any short timer,
    /// again and again; each time it must go on.
    #[test]
    fn an_executor_that_is_stopped_anywhere_goes_on() {
        if std::env::var_os(ROLE).is_some() {
            return tick_for_ever();
        }
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.args([TEST, "--exact"]).env(ROLE, "1");
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let ticks = ticks_of(child.stdout.take().unwrap());
        let goes_on = || {
            while ticks.try_recv().is_ok() {}
            ticks.recv_timeout(Duration::from_secs(10)).is_ok()
        };
        let pid = Pid::from_child(&child);
        let stalled = (0..STOPS).find(|stop| {
            wait(Duration::from_micros(u64::from(stop % 50) * 2));
            kill_process(pid, Signal::STOP).unwrap();
            wait(Duration::from_millis(2));
            kill_process(pid, Signal::CONT).unwrap();
            !goes_on()
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(stalled, None, "it sleeps with tasks that could run");
    }

    /// Far more writes than the rings hold are begun in one go, and the thread looks away while
    /// they complete: each completes once, with its own bytes.
    #[test]
    fn fault_092_more_operations_than_the_rings_hold_complete_once_each() {
        let dir = disk_dir("rings");
        let path = dir.path().join("file");
        let executor = executor(Placement::Unbound)
            .ring_depth(RING)
            .make()
            .unwrap();
        let completed = executor.run(async {
            let file = Rc::new(DmaFile::create(&path).await.unwrap());
            let completed = Rc::new(Cell::new([0_u8; OPERATIONS]));
            let operations: Vec<_> = (0..OPERATIONS)
                .map(|number| {
                    let (file, completed) = (Rc::clone(&file), Rc::clone(&completed));
                    glommio::spawn_local(async move {
                        let mut block = file.alloc_dma_buffer(BLOCK);
                        block.as_bytes_mut().fill(byte_of(number));
                        let at = u64::try_from(number * BLOCK).unwrap();
                        assert_eq!(file.write_at(block, at).await.unwrap(), BLOCK);
                        let mut all = completed.get();
                        all[number] += 1;
                        completed.set(all);
                    })
                })
                .collect();
            for _ in 0..10 {
                glommio::executor().yield_task_queue_now().await;
                wait(Duration::from_millis(5));
            }
            for operation in operations {
                operation.await;
            }
            completed.get()
        });
        assert_eq!(completed, [1; OPERATIONS]);
        let written = std::fs::read(&path).unwrap();
        for (number, block) in written.chunks(BLOCK).enumerate() {
            assert!(
                block.iter().all(|byte| *byte == byte_of(number)),
                "{number}"
            );
        }
        assert_eq!(written.len(), OPERATIONS * BLOCK);
    }

    /// A task that never waits for anything looks on until a file is written: it must not keep the
    /// executor from its rings.
    #[test]
    fn fault_094_a_task_that_is_never_idle_keeps_nobody_from_the_disk() {
        let dir = disk_dir("busy");
        let path = dir.path().join("file");
        let executor = executor(Placement::Unbound).make().unwrap();
        let is_written = executor.run(async {
            let is_written = Rc::new(Cell::new(false));
            let written = Rc::clone(&is_written);
            let writer = glommio::spawn_local(async move {
                let file = DmaFile::create(&path).await.unwrap();
                let block = file.alloc_dma_buffer(BLOCK);
                assert_eq!(file.write_at(block, 0).await.unwrap(), BLOCK);
                file.fdatasync().await.unwrap();
                glommio::timer::sleep(Duration::from_millis(1)).await;
                written.set(true);
                file.close().await.unwrap();
            });
            for _ in 0..ROUNDS {
                yield_to_rings().await;
                if is_written.get() {
                    break;
                }
            }
            let seen = is_written.get();
            writer.await;
            seen
        });
        assert!(is_written, "its completions were not looked for");
    }

    /// Two neighbours differ.
    fn byte_of(number: usize) -> u8 {
        u8::try_from(number % 251).unwrap()
    }

    /// Entries of a submission ring; a completion ring has twice as many.
    const RING: usize = 8;
    const OPERATIONS: usize = 1_000;
    /// A minute at least, where each looks at the rings.
    const ROUNDS: u32 = 10_000_000;
    const BLOCK: usize = 4_096;

    fn tick_for_ever() {
        let executor = executor(Placement::Unbound).make().unwrap();
        executor.run(async {
            loop {
                glommio::timer::sleep(Duration::from_micros(10)).await;
                std::io::stdout().write_all(b"\n").unwrap();
            }
        });
    }

    fn ticks_of(mut from: impl Read + Send + 'static) -> Receiver<usize> {
        let (sender, ticks) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 256];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if sender.send(count).is_err() {
                    return;
                }
            }
        });
        ticks
    }

    #[expect(clippy::disallowed_methods, reason = "a pause is what is tested")]
    fn wait(time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            std::thread::yield_now();
        }
    }
}
