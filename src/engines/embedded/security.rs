//! What a container may do: `privileged`, capabilities and `security_opt` made a record, and told again as options.

use std::path::PathBuf;

use orchestrator::engine::container::ContainerSpec;
use orchestrator::engine::error::EngineError;
use runtime::sandbox::{apparmor, selinux};
use runtime::state::container::{AppArmorRecord, DeviceRecord, SeccompRecord, SecurityRecord};
use runtime::state::selinux::{AskedLabel, LabelParts};
use serde_json::{Value, json};

use crate::embedded::EmbeddedOptions;
use crate::embedded::cdi;
use crate::embedded::request::Refusal;

/// Makes the record of what a container may do.
pub(super) fn security(spec: &ContainerSpec, refuse: &Refusal<'_>) -> Result<SecurityRecord, EngineError> {
    let bare = |names: &[String]| {
        let bare = |name: &String| {
            let name = name.to_ascii_uppercase();
            name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
        };
        names.iter().map(bare).collect()
    };
    let mut security = SecurityRecord {
        privileged: spec.privileged,
        read_only: spec.read_only,
        cap_add: bare(&spec.cap_add),
        cap_drop: bare(&spec.cap_drop),
        device_rules: spec.device_cgroup_rules.clone(),
        devices: spec
            .devices
            .iter()
            .filter(|device| !cdi::is_name(&device.source))
            .map(|device| DeviceRecord {
                source: PathBuf::from(&device.source),
                target: device.target.clone(),
                permissions: device.permissions.clone(),
            })
            .collect(),
        ..SecurityRecord::default()
    };
    let is_labelled = selinux::is_available();
    for option in &spec.security_opt {
        let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (key, value) {
            ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
            ("no-new-privileges", "false") => {}
            ("seccomp", "unconfined") => security.seccomp = SeccompRecord::Unconfined,
            ("seccomp", "builtin") => {}
            ("seccomp", profile) => security.seccomp = SeccompRecord::Profile(seccomp(profile, refuse)?),
            ("systempaths", "unconfined") => security.unmasked = true,
            ("apparmor", "unconfined") => security.apparmor = AppArmorRecord::Unconfined,
            ("apparmor", profile) if !profile.is_empty() => {
                if !apparmor::is_available() {
                    tracing::warn!("`security_opt: {option}` has no effect: the kernel has no AppArmor at work");
                }
                security.apparmor = AppArmorRecord::Profile(profile.to_owned());
            }
            ("label", value) => {
                let asked = std::mem::take(&mut security.selinux.asked);
                security.selinux.asked = match label(asked, value) {
                    Ok(asked) => asked,
                    Err(problem) if is_labelled => return Err(refuse.because(problem)),
                    // As with a Docker Engine that has no labels to give.
                    Err(_) => AskedLabel::Nothing,
                };
                if !is_labelled && value != "disable" {
                    tracing::warn!("`security_opt: {option}` has no effect: the kernel has no SELinux at work");
                }
            }
            _ => return Err(refuse.because(format_args!("there is no `security_opt: {option}`"))),
        }
    }
    Ok(security)
}

/// Asks for the labels that every container is to have.
pub(crate) fn usual_label(options: &EmbeddedOptions, security: &mut SecurityRecord) {
    if options.labelled && security.selinux.asked == AskedLabel::Nothing {
        security.selinux.asked = AskedLabel::Usual;
    }
}

/// Adds what one option asks of labels, `disable` or `PART:VALUE`; `disable` is stronger than all others.
fn label(asked: AskedLabel, value: &str) -> Result<AskedLabel, String> {
    if value == "disable" || asked == AskedLabel::Disabled {
        return Ok(AskedLabel::Disabled);
    }
    let mut parts = match asked {
        AskedLabel::Parts(parts) => parts,
        AskedLabel::Nothing | AskedLabel::Usual | AskedLabel::Disabled => LabelParts::default(),
    };
    let (key, part) = value.split_once(':').unwrap_or((value, ""));
    let place = match key {
        "user" => &mut parts.user,
        "role" => &mut parts.role,
        "type" => &mut parts.domain,
        "filetype" => &mut parts.file_type,
        "level" => &mut parts.level,
        _ => {
            return Err(format!(
                "there is no `security_opt: label={value}`, only `disable`, `user:`, `role:`, `type:`, `level:` and `filetype:`"
            ));
        }
    };
    let is_known = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c) || key == "level" && ":,".contains(c);
    if part.is_empty() || !part.chars().all(is_known) {
        return Err(format!("`security_opt: label={value}` names no {key} of an SELinux label"));
    }
    *place = Some(part.to_owned());
    Ok(AskedLabel::Parts(parts))
}

/// A profile is given as its text, or as the path of a file with it.
fn seccomp(profile: &str, refuse: &Refusal<'_>) -> Result<String, EngineError> {
    if profile.trim_start().starts_with('{') {
        return Ok(profile.into());
    }
    std::fs::read_to_string(profile)
        .map_err(|error| refuse.because(format_args!("cannot read the seccomp profile `{profile}`: {error}")))
}

/// The profile of a container, as Docker names it: nothing where the kernel has none.
pub(crate) fn apparmor(security: &SecurityRecord) -> &str {
    match &security.apparmor {
        AppArmorRecord::Profile(name) => name,
        AppArmorRecord::Unconfined => "unconfined",
        AppArmorRecord::Default if security.privileged => "unconfined",
        AppArmorRecord::Default if apparmor::is_available() => apparmor::DEFAULT,
        AppArmorRecord::Default => "",
    }
}

/// The options other than the usual ones, as they are asked for; `null` where there are none.
pub(crate) fn options(security: &SecurityRecord) -> Value {
    let mut options = Vec::new();
    if security.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &security.seccomp {
        SeccompRecord::Default => {}
        SeccompRecord::Unconfined => options.push("seccomp=unconfined".to_owned()),
        SeccompRecord::Profile(text) => options.push(format!("seccomp={text}")),
    }
    match &security.apparmor {
        AppArmorRecord::Default => {}
        AppArmorRecord::Unconfined => options.push("apparmor=unconfined".to_owned()),
        AppArmorRecord::Profile(name) => options.push(format!("apparmor={name}")),
    }
    match &security.selinux.asked {
        AskedLabel::Nothing | AskedLabel::Usual => {}
        AskedLabel::Disabled => options.push("label=disable".to_owned()),
        AskedLabel::Parts(LabelParts { user, role, domain, file_type, level }) => {
            let parts = [("user", user), ("role", role), ("type", domain), ("filetype", file_type), ("level", level)];
            let named = |(key, part): (&str, &Option<String>)| Some(format!("label={key}:{}", part.as_ref()?));
            options.extend(parts.into_iter().filter_map(named));
        }
    }
    if security.unmasked {
        options.push("systempaths=unconfined".to_owned());
    }
    if options.is_empty() { Value::Null } else { json!(options) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::request::request;

    fn spec() -> ContainerSpec {
        ContainerSpec { name: "shop-web-1".into(), image: "web".into(), ..ContainerSpec::default() }
    }

    fn asked(values: &[&str]) -> Result<AskedLabel, String> {
        values.iter().try_fold(AskedLabel::Nothing, |asked, value| label(asked, value))
    }

    #[test]
    fn security_options_are_told_apart() {
        let options = ["no-new-privileges:true", "seccomp=unconfined", "systempaths=unconfined", "label=disable"];
        let asked = ContainerSpec { security_opt: options.map(Into::into).to_vec(), ..spec() };
        let security = request(&asked).unwrap().security;
        assert!(security.no_new_privileges && security.unmasked);
        assert_eq!(security.seccomp, SeccompRecord::Unconfined);
        let unknown = ContainerSpec { security_opt: vec!["magic".into()], ..spec() };
        assert!(request(&unknown).unwrap_err().message.ends_with("there is no `security_opt: magic`"));
    }

    #[test]
    fn the_parts_of_a_label_are_options_of_their_own() {
        let part = |text: &str| Some(text.to_owned());
        let parts = LabelParts { domain: part("web_t"), level: part("s0:c1,c2"), ..LabelParts::default() };
        assert_eq!(asked(&["type:web_t", "level:s0:c1,c2"]), Ok(AskedLabel::Parts(parts)));
        let parts = LabelParts { user: part("u"), role: part("r"), file_type: part("f"), ..LabelParts::default() };
        assert_eq!(asked(&["user:u", "role:r", "filetype:f"]), Ok(AskedLabel::Parts(parts)));
        assert_eq!(asked(&["type:web_t", "disable", "level:s0"]), Ok(AskedLabel::Disabled));
    }

    #[test]
    fn both_spellings_of_a_label_option_are_known_and_told_again() {
        for option in ["label=type:web_t", "label:type:web_t"] {
            let asked = ContainerSpec { security_opt: vec![option.into()], ..spec() };
            let security = request(&asked).unwrap().security;
            assert_eq!(options(&security), json!(["label=type:web_t"]));
        }
    }

    #[test]
    fn what_is_no_part_of_a_label_is_named() {
        assert!(asked(&["kind:web_t"]).unwrap_err().contains("`security_opt: label=kind:web_t`"));
        assert!(asked(&["type:"]).unwrap_err().contains("no type"));
        assert!(asked(&["type:a\" b"]).unwrap_err().contains("no type"));
        assert!(asked(&["type:u:r:t"]).unwrap_err().contains("no type"));
    }
}
