//! A published port.

/// One entry of `ports`, in long form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Port {
    pub name: Option<String>,
    /// `ingress` or `host`.
    pub mode: String,
    pub host_ip: Option<String>,
    /// Container port.
    pub target: u16,
    /// Host port or range `8000-9000`; `None`: the engine chooses.
    pub published: Option<String>,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
    pub app_protocol: Option<String>,
}
