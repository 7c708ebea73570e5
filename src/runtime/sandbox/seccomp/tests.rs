//! The compiled filters, run as the kernel runs them.

use super::compile::compile;
use super::policy::{Abi, Action, Calls, Case, Condition, Policy, Test};
use super::{filter, profile, table};
use crate::sandbox::capabilities;
use crate::state::container::SeccompRecord;
use crate::sys::bpf::Classic;

/// Runs a filter as the kernel does, and returns its verdict and how many instructions that took.
fn run(program: &[Classic], abi: Abi, number: u32, args: [u64; 6]) -> (u32, usize) {
    let word = |offset: u32| match offset {
        0 => number,
        4 => abi.audit(),
        16.. => (args[(offset as usize - 16) / 8] >> (if offset.is_multiple_of(8) { 0 } else { 32 })) as u32,
        _ => 0,
    };
    let (mut at, mut accumulator, mut steps) = (0, 0u32, 0);
    loop {
        let Classic { code, jt, jf, k } = program[at];
        steps += 1;
        at += 1;
        let holds = match code {
            0x20 => {
                accumulator = word(k);
                continue;
            }
            0x54 => {
                accumulator &= k;
                continue;
            }
            0x05 => {
                at += k as usize;
                continue;
            }
            0x06 => return (k, steps),
            0x15 => accumulator == k,
            0x25 => accumulator > k,
            0x35 => accumulator >= k,
            _ => panic!("code {code:#x}"),
        };
        at += usize::from(if holds { jt } else { jf });
    }
}

const EPERM: u32 = libc::SECCOMP_RET_ERRNO | 1;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | 38;
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

fn default(caps: u64) -> super::Filter {
    filter(&SeccompRecord::Default, caps).unwrap().unwrap()
}

#[test]
fn the_default_is_compact_and_a_call_takes_few_steps() {
    let program = default(capabilities::DEFAULT);
    assert!(program.len() < 700, "{}", program.len());
    for number in 0..470 {
        let (_, steps) = run(&program, Abi::HERE[0], number, [0; 6]);
        assert!(steps < 40, "{number}: {steps}");
    }
}

#[test]
fn the_compiled_filter_says_what_the_table_says() {
    let program = default(capabilities::DEFAULT);
    let policy = table::policy(capabilities::DEFAULT);
    for calls in &policy.calls {
        for number in 0..500 {
            let expected = match calls.cases.get(&number).map(Vec::as_slice) {
                None if number > calls.last_known => ENOSYS,
                None => EPERM,
                Some([Case { action, conditions }]) if conditions.is_empty() => action.code(),
                Some(_) => continue,
            };
            assert_eq!(run(&program, calls.abi, number, [0; 6]).0, expected, "{:?} {number}", calls.abi);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_default_denies_what_docker_denies() {
    let verdict = |caps, number: i64, args| run(&default(caps), Abi::X86_64, number as u32, args).0;
    let usual = capabilities::DEFAULT;
    for (call, expected) in [
        (libc::SYS_read, ALLOW),
        (libc::SYS_mount, EPERM),
        (libc::SYS_clone3, ENOSYS),
        (libc::SYS_keyctl, EPERM),
        (libc::SYS_io_uring_setup, EPERM),
        (libc::SYS_ptrace, ALLOW),
        (libc::SYS_chroot, ALLOW),
        (600, ENOSYS),
        (0x4000_0000, ENOSYS),
    ] {
        assert_eq!(verdict(usual, call, [0; 6]), expected, "{call}");
    }
    assert_eq!(verdict(usual, libc::SYS_clone, [0x1200011, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(verdict(usual, libc::SYS_clone, [0x1000_0000, 0, 0, 0, 0, 0]), EPERM);
    for (family, expected) in [(1, ALLOW), (2, ALLOW), (10, ALLOW), (16, ALLOW), (17, ALLOW), (38, EPERM), (40, EPERM)]
    {
        assert_eq!(verdict(usual, libc::SYS_socket, [family, 0, 0, 0, 0, 0]), expected, "{family}");
        // The kernel reads an int: what is above it must not help.
        assert_eq!(verdict(usual, libc::SYS_socket, [family | 1 << 40, 0, 0, 0, 0, 0]), expected, "{family}");
    }
    assert_eq!(verdict(usual, libc::SYS_ioctl, [0, 0x5412, 0, 0, 0, 0]), EPERM);
    assert_eq!(verdict(usual, libc::SYS_ioctl, [0, 0x5413, 0, 0, 0, 0]), ALLOW);
    assert_eq!(verdict(usual | 1 << 21, libc::SYS_mount, [0; 6]), ALLOW);
    assert_eq!(verdict(usual | 1 << 21, libc::SYS_clone3, [0; 6]), ALLOW);
    assert_eq!(verdict(0, libc::SYS_chroot, [0; 6]), EPERM);
}

#[test]
fn every_operator_compares_all_64_bits() {
    const EDGE: u64 = 0x5_0000_0007;
    let values = [0, 7, EDGE - 1, EDGE, EDGE + 1, 0x4_0000_0009, 0x6_0000_0001, u64::MAX];
    let check = |test: Test, holds: &dyn Fn(u64) -> bool| {
        let case = Case { action: Action::Allow, conditions: vec![Condition { argument: 3, test }] };
        let calls = Calls { abi: Abi::HERE[0], cases: [(1, vec![case])].into(), last_known: 1 };
        let program = compile(&Policy { default: Action::Errno(1), calls: vec![calls] });
        for value in values {
            let verdict = run(&program, Abi::HERE[0], 1, [0, 0, 0, value, 0, 0]).0;
            assert_eq!(verdict == ALLOW, holds(value), "{test:?} {value:#x}");
        }
    };
    check(Test::Equal(EDGE), &|value| value == EDGE);
    check(Test::NotEqual(EDGE), &|value| value != EDGE);
    check(Test::Less(EDGE), &|value| value < EDGE);
    check(Test::LessOrEqual(EDGE), &|value| value <= EDGE);
    check(Test::Greater(EDGE), &|value| value > EDGE);
    check(Test::GreaterOrEqual(EDGE), &|value| value >= EDGE);
    check(Test::Masked { mask: 0x4_0000_0008, value: 0x4_0000_0000 }, &|value| value & 0x4_0000_0008 == 0x4_0000_0000);
    check(Test::Within(5, 9), &|value| (5..=9).contains(&(value as u32)));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_profile_may_allow_all_but_some() {
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
        {"name": "chmod", "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_CHOWN"]}}]}"#;
    let program = filter(&SeccompRecord::Profile(text.to_owned()), 1).unwrap().unwrap();
    let verdict = |number: i64| run(&program, Abi::X86_64, number as u32, [0; 6]).0;
    assert_eq!(verdict(libc::SYS_mkdir), libc::SECCOMP_RET_ERRNO | 13);
    assert_eq!(verdict(libc::SYS_chmod), ALLOW);
    assert_eq!(verdict(libc::SYS_read), ALLOW);
}

#[test]
fn a_profile_that_is_wrong_says_where() {
    let error = profile::policy(r#"{"defaultAction": "SCMP_ACT_MAYBE"}"#, 0).unwrap_err();
    assert_eq!(error.to_string(), "the seccomp profile has an unknown action `SCMP_ACT_MAYBE`");
    assert!(profile::policy("{", 0).is_err());
}
