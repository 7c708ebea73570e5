//! Which signals a process would notice, out of /proc.

use crate::keeper::machine::Hearing;
use crate::state::container::{ContainerRecord, NamespaceRecord};

/// Reads what process 1 of a container listens to.
///
/// A signal that is blocked is kept for whoever waits for it (sigwait(3), signalfd(2)), so it is heard, too. While a thread
/// waits in sigwait(3) the kernel shows as open what it waits for: that is told by the call that it is in.
pub fn of(record: &ContainerRecord, pid: i32) -> Hearing {
    // Only process 1 of a namespace has no default actions; ours passes every signal on to the program, which has them.
    if record.init || record.namespaces.pid != NamespaceRecord::Private || waits_for_signals(pid) {
        return Hearing::Unknown;
    }
    match std::fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(status) => parse(&status),
        Err(_) => Hearing::Unknown,
    }
}

/// Says whether a thread of the process is in sigwait(3), as `/proc/PID/task/TID/syscall` tells (proc(5)).
fn waits_for_signals(pid: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let call = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("syscall")).ok();
    threads.filter_map(call).any(|call| {
        let number = call.split_ascii_whitespace().next().and_then(|number| number.parse::<i64>().ok());
        number == Some(libc::SYS_rt_sigtimedwait)
    })
}

fn parse(status: &str) -> Hearing {
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    match (mask("SigCgt:"), mask("SigBlk:")) {
        (Some(caught), Some(blocked)) => Hearing::Signals(caught | blocked),
        _ => Hearing::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_hears_interrupt_alone() {
        let status =
            "Name:\tpython3\nSigBlk:\t0000000000000000\nSigIgn:\t0000000001001000\nSigCgt:\t0000000000000002\n";
        let hearing = parse(status);
        assert!(hearing.hears(2) && !hearing.hears(15) && hearing.hears(9));
    }

    #[test]
    fn who_waits_for_a_blocked_signal_hears_it() {
        assert!(parse("SigBlk:\t0000000000004000\nSigCgt:\t0000000000000000\n").hears(15));
    }

    #[test]
    fn what_can_not_be_read_is_taken_for_a_good_listener() {
        assert_eq!(parse("Name:\tx\n"), Hearing::Unknown);
        assert!(Hearing::Unknown.hears(15));
    }
}
