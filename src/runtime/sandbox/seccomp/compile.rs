//! A policy made classic BPF: a binary tree over the numbers, so that a call costs some eight comparisons, not four hundred;
//! and few instructions, since loading them costs time too.

use crate::sandbox::seccomp::policy::{Abi, Action, Calls, Case, Condition, Policy, Test};
use crate::sys::bpf::Classic;

/// `BPF_LD | BPF_W | BPF_ABS` of linux/bpf_common.h, and so on.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data` of linux/seccomp.h.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Set in the number of a call of the x32 ABI, which shares its audit number with x86-64.
const X32: u32 = 0x4000_0000;

/// A jump out of a case whose condition does not hold; its distance is known when the case is complete.
const FAIL: u8 = u8::MAX;

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Classic {
    Classic { code, jt, jf, k }
}

/// Numbers from `first` to the next segment's that have the same cases.
struct Segment<'a> {
    first: u32,
    cases: &'a [Case],
    otherwise: Action,
}

/// Compiles a policy.
pub(super) fn compile(policy: &Policy) -> Vec<Classic> {
    let mut program = vec![instruction(LOAD, 0, 0, ARCH)];
    for calls in &policy.calls {
        let body = body(calls, policy.default);
        // Jumps of a condition reach 255 instructions; this one any number.
        program.push(instruction(JUMP_EQUAL, 1, 0, calls.abi.audit()));
        program.push(instruction(JUMP, 0, 0, length(&body)));
        program.extend(body);
    }
    let foreign = match policy.default {
        Action::Allow | Action::Log => policy.default,
        Action::Errno(_) | Action::Trap | Action::KillThread | Action::KillProcess => {
            Action::Errno(libc::ENOSYS as u16)
        }
    };
    program.push(instruction(RETURN, 0, 0, foreign.code()));
    program
}

/// Compiles the calls of one calling convention.
fn body(calls: &Calls, default: Action) -> Vec<Classic> {
    // Calls newer than the policy are not there yet, rather than forbidden: C libraries then try the older one.
    let unknown = match default {
        Action::Errno(_) => Action::Errno(libc::ENOSYS as u16),
        Action::Allow | Action::Log | Action::Trap | Action::KillThread | Action::KillProcess => default,
    };
    let mut segments: Vec<Segment<'_>> = Vec::new();
    let mut push = |first, cases, otherwise| {
        if !segments.last().is_some_and(|last: &Segment<'_>| last.cases == cases && last.otherwise == otherwise) {
            segments.push(Segment { first, cases, otherwise });
        }
    };
    let mut next = 0;
    for (number, cases) in &calls.cases {
        if *number > next {
            push(next, &[], default);
        }
        push(*number, cases, default);
        next = number + 1;
    }
    if next <= calls.last_known {
        push(next, &[], default);
        next = calls.last_known + 1;
    }
    push(next, &[], unknown);
    let mut program = vec![instruction(LOAD, 0, 0, NUMBER)];
    if calls.abi == Abi::X86_64 {
        program.push(instruction(JUMP_GREATER_OR_EQUAL, 0, 1, X32));
        program.push(instruction(RETURN, 0, 0, unknown.code()));
    }
    program.extend(tree(&segments));
    program
}

/// Halves the segments until one is left.
fn tree(segments: &[Segment<'_>]) -> Vec<Classic> {
    let (left, right) = segments.split_at(segments.len() / 2);
    let Some(middle) = right.first() else { return Vec::new() };
    if left.is_empty() {
        return leaf(middle);
    }
    let (less, more) = (tree(left), tree(right));
    let mut program = match u8::try_from(less.len()) {
        Ok(distance) => vec![instruction(JUMP_GREATER_OR_EQUAL, distance, 0, middle.first)],
        Err(_) => vec![instruction(JUMP_GREATER_OR_EQUAL, 0, 1, middle.first), instruction(JUMP, 0, 0, length(&less))],
    };
    program.extend(less);
    program.extend(more);
    program
}

fn leaf(segment: &Segment<'_>) -> Vec<Classic> {
    let mut program = Vec::new();
    for case in segment.cases {
        let mut one: Vec<Classic> = case.conditions.iter().flat_map(condition).collect();
        one.push(instruction(RETURN, 0, 0, case.action.code()));
        let end = one.len();
        for (index, instruction) in one.iter_mut().enumerate() {
            let distance = u8::try_from(end - index - 1).unwrap_or(0);
            for jump in [&mut instruction.jt, &mut instruction.jf] {
                if *jump == FAIL {
                    *jump = distance;
                }
            }
        }
        program.extend(one);
        if case.conditions.is_empty() {
            return program;
        }
    }
    program.push(instruction(RETURN, 0, 0, segment.otherwise.code()));
    program
}

/// Falls through where the condition holds, else jumps to [`FAIL`].
fn condition(condition: &Condition) -> Vec<Classic> {
    let low = ARGUMENTS + 8 * u32::from(condition.argument);
    let load_low = instruction(LOAD, 0, 0, low);
    let load_high = instruction(LOAD, 0, 0, low + 4);
    // Both machines are little-endian.
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    // The upper half decides unless it is equal.
    let ordered = |value: u64, code: u16, wanted: bool| {
        let (high, low) = halves(value);
        let (jt, jf) = if wanted { (0, FAIL) } else { (FAIL, 0) };
        let beyond =
            if wanted { instruction(JUMP_GREATER, 3, 0, high) } else { instruction(JUMP_GREATER_OR_EQUAL, 0, 3, high) };
        vec![load_high, beyond, instruction(JUMP_EQUAL, 0, FAIL, high), load_low, instruction(code, jt, jf, low)]
    };
    match condition.test {
        Test::Equal(value) => {
            let (high, low) = halves(value);
            vec![load_high, instruction(JUMP_EQUAL, 0, FAIL, high), load_low, instruction(JUMP_EQUAL, 0, FAIL, low)]
        }
        Test::NotEqual(value) => {
            let (high, low) = halves(value);
            vec![load_high, instruction(JUMP_EQUAL, 0, 2, high), load_low, instruction(JUMP_EQUAL, FAIL, 0, low)]
        }
        Test::Greater(value) => ordered(value, JUMP_GREATER, true),
        Test::GreaterOrEqual(value) => ordered(value, JUMP_GREATER_OR_EQUAL, true),
        Test::Less(value) => ordered(value, JUMP_GREATER_OR_EQUAL, false),
        Test::LessOrEqual(value) => ordered(value, JUMP_GREATER, false),
        Test::Masked { mask, value } => {
            let ((mask_high, mask_low), (high, low)) = (halves(mask), halves(value));
            let mut program = Vec::new();
            if (mask_high, high) != (0, 0) {
                program.extend([load_high, instruction(AND, 0, 0, mask_high), instruction(JUMP_EQUAL, 0, FAIL, high)]);
            }
            program.extend([load_low, instruction(AND, 0, 0, mask_low), instruction(JUMP_EQUAL, 0, FAIL, low)]);
            program
        }
        Test::Within(first, last) if first == last => vec![load_low, instruction(JUMP_EQUAL, 0, FAIL, first)],
        Test::Within(0, last) => vec![load_low, instruction(JUMP_GREATER, FAIL, 0, last)],
        Test::Within(first, last) => {
            vec![load_low, instruction(JUMP_GREATER_OR_EQUAL, 0, FAIL, first), instruction(JUMP_GREATER, FAIL, 0, last)]
        }
    }
}

fn length(program: &[Classic]) -> u32 {
    u32::try_from(program.len()).unwrap_or(u32::MAX)
}
