//! What becomes of each system call, as plain data between a table or profile and the compiler.

use std::collections::BTreeMap;

/// What the kernel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Allow,
    Log,
    Errno(u16),
    Trap,
    KillThread,
    KillProcess,
}

impl Action {
    /// `SECCOMP_RET_*` of linux/seccomp.h.
    pub fn code(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Log => libc::SECCOMP_RET_LOG,
            Self::Errno(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
            Self::Trap => libc::SECCOMP_RET_TRAP,
            Self::KillThread => libc::SECCOMP_RET_KILL_THREAD,
            Self::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    NotEqual(u64),
    Less(u64),
    LessOrEqual(u64),
    Equal(u64),
    GreaterOrEqual(u64),
    Greater(u64),
    Masked {
        mask: u64,
        value: u64,
    },
    /// The lower half lies between the two, for arguments of which the kernel reads no more: what is above must not decide.
    Within(u32, u32),
}

/// A test of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// 0 to 5.
    pub argument: u8,
    /// What it must be.
    pub test: Test,
}

/// An action under conditions, all of which must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub action: Action,
    pub conditions: Vec<Condition>,
}

/// A calling convention of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    X86_64,
    I386,
    Arm64,
}

impl Abi {
    /// Those of this machine, its own first.
    pub const HERE: &'static [Self] =
        if cfg!(target_arch = "aarch64") { &[Self::Arm64] } else { &[Self::X86_64, Self::I386] };

    /// `AUDIT_ARCH_*` of linux/audit.h.
    pub fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Arm64 => 0xc000_00b7,
        }
    }
}

/// The system calls of one calling convention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    pub abi: Abi,
    /// By number: the first case that holds decides, and the policy's default where none does.
    pub cases: BTreeMap<u32, Vec<Case>>,
    /// The highest number that the policy's author can have known of.
    pub last_known: u32,
}

/// A whole filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// For known calls without a case.
    pub default: Action,
    /// A calling convention that is not there is denied.
    pub calls: Vec<Calls>,
}
