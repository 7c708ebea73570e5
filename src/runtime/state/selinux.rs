//! SELinux in a container's record: what is asked for, and the labels that came of it when the container was created.

use serde::{Deserialize, Serialize};

/// What a container is labelled with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SelinuxRecord {
    /// What is asked for.
    pub asked: AskedLabel,
    /// What it has for good; `None`: its programs and files are not labelled.
    #[serde(default)]
    pub labels: Option<Labels>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AskedLabel {
    /// Nothing: it is not labelled.
    #[default]
    Nothing,
    /// Nothing, where all containers are to be labelled unless it is privileged or among the host's processes.
    Usual,
    /// Not to be labelled.
    Disabled,
    /// Labels with these parts.
    Parts(LabelParts),
}

/// Parts of the labels; `None`: what the host's policy has for containers, and as the level one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LabelParts {
    /// Of programs and files.
    pub user: Option<String>,
    /// Of programs.
    pub role: Option<String>,
    /// Of programs.
    #[serde(rename = "type")]
    pub domain: Option<String>,
    /// Of files.
    pub file_type: Option<String>,
    /// Of programs and files: `s0:c1,c2`.
    pub level: Option<String>,
}

/// Labels in full: `user:role:type[:level]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// Of its programs.
    pub process: String,
    /// Of its files.
    pub file: String,
    /// Of the layers below them, which all containers share.
    pub image: String,
}

/// Who may use what is relabelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relabel {
    /// Every container (`z`).
    Shared,
    /// Those of its level (`Z`).
    Private,
}
