//! Which devices a container may open.

/// What a container may do with device nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DevicePolicy {
    /// Everything (`privileged`).
    pub all: bool,
    /// Beyond the usual ones, in the notation of the devices controller: `c 10:200 rwm`, `b *:* r`.
    pub rules: Vec<String>,
}
