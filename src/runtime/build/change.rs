//! Instructions given one by one to an image that is no build: `import --change`, `commit --change`.

use crate::build::dockerfile::decode;
use crate::build::dockerfile::instruction::Act;
use crate::build::metadata::{self, Settings};
use crate::build::scope::Scope;
use crate::image::config::ImageConfig;

/// Changes a config by instructions that make no layer; `Err` says which of them is wrong, and why.
pub fn change(image: &mut ImageConfig, instructions: &[String]) -> Result<(), String> {
    for text in instructions {
        let wrong = |why: String| format!("`{text}`: {why}");
        let parsed = decode::dockerfile(&format!("FROM scratch\n{text}\n")).map_err(|error| wrong(error.message))?;
        let mut scope = Scope::default();
        scope.escape = Some(parsed.escape);
        for variable in &image.config.env {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            scope.set(name, value.to_owned());
        }
        for instruction in parsed.stages.iter().flat_map(|stage| &stage.instructions) {
            match &instruction.act {
                Act::Add(_) | Act::Copy(_) | Act::Run(_) | Act::Arg(_) | Act::Maintainer(_) => {
                    return Err(wrong(format!("{} can't be done to an image as it is", instruction.keyword)));
                }
                Act::Workdir(path) => {
                    let path = scope.word(path).map_err(wrong)?;
                    let below = image.config.working_dir.trim_end_matches('/');
                    image.config.working_dir = if path.starts_with('/') { path } else { format!("{below}/{path}") };
                }
                act => {
                    let (mut own, mut author) = (false, None);
                    let mut settings = Settings {
                        config: &mut image.config,
                        scope: &mut scope,
                        cmd_is_own: &mut own,
                        author: &mut author,
                    };
                    metadata::apply(&mut settings, act).map_err(wrong)?;
                }
            }
        }
        image.config.env = scope.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_change_the_config_and_wrong_ones_are_named() {
        let mut image = ImageConfig::empty();
        let changes = ["ENV A=1 B=2", "CMD [\"sh\"]", "WORKDIR /a", "WORKDIR $B", "EXPOSE 80", "LABEL x=y", "USER me"];
        change(&mut image, &changes.map(str::to_owned)).unwrap();
        let config = &image.config;
        assert_eq!(config.env, ["A=1", "B=2"]);
        assert_eq!(config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
        assert_eq!((&*config.working_dir, &*config.user, &*config.labels["x"]), ("/a/2", "me", "y"));
        assert_eq!(config.exposed_ports, ["80/tcp"]);
        let error = change(&mut image, &["RUN true".to_owned()]).unwrap_err();
        assert!(error.contains("RUN"), "{error}");
        assert!(change(&mut image, &["NOPE x".to_owned()]).is_err());
    }
}
