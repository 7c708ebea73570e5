//! `image ls`: what the store has.

use std::cmp::Reverse;
use std::time::SystemTime;

use orchestrator::engine::image::ImageSummary;
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::image::{short, split};
use crate::error::{CommandError, Kind};
use crate::print::age;
use crate::print::printer::Stream;
use crate::print::progress::size;
use crate::print::table::Table;
use crate::print::template::Format;

/// List images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also images without a name that a name stands for on other platforms
    #[arg(short, long)]
    all: bool,

    /// Show digests too
    #[arg(long)]
    digests: bool,

    /// `dangling=true`, `reference=PATTERN`, `label=KEY[=VALUE]`, `before=IMAGE`, `since=IMAGE`
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// `table`, `json`, or a template such as `{{.Repository}}`
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse, hide_default_value = true)]
    format: Format,

    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,

    /// Only the ids
    #[arg(short, long)]
    quiet: bool,

    /// Only images of this name
    #[arg(value_name = "NAME[:TAG]")]
    name: Option<String>,
}

/// One line: an image under one name.
pub(crate) struct Named<'a> {
    pub(crate) image: &'a ImageSummary,
    pub(crate) repository: String,
    pub(crate) tag: String,
    pub(crate) digest: String,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let mut images = app.engine()?.list_images().await?;
    images.retain(|image| args.all || !image.of_platform);
    images.sort_by_key(|image| (Reverse(image.created), image.id.clone()));
    let filter = Filter::parse(&args.filter, &images)?;
    let mut names: Vec<Named<'_>> = images.iter().flat_map(named).collect();
    names.retain(|it| filter.takes(it));
    if let Some(name) = &args.name {
        names.retain(|it| matches(name, it));
    }
    if args.quiet {
        let mut ids: Vec<String> = names.iter().map(|it| short(&it.image.id, args.no_trunc)).collect();
        ids.dedup();
        ids.iter().for_each(|id| app.printer.data(id));
        return Ok(());
    }
    let now = SystemTime::now();
    let rows: Vec<Value> = names.iter().map(|it| row(it, now, args.no_trunc)).collect();
    let width = app.printer.width(Stream::Out);
    match &args.format {
        Format::Json => rows.iter().for_each(|row| app.printer.data(&row.to_string())),
        Format::Table => {
            let mut heading = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
            let mut fields = vec!["Repository", "Tag", "ID", "CreatedSince", "Size"];
            if args.digests {
                heading.insert(2, "DIGEST");
                fields.insert(2, "Digest");
            }
            let mut table = Table::new(&heading);
            let cell = |row: &Value, name: &str| row[name].as_str().unwrap_or("").to_owned();
            rows.iter().for_each(|row| table.row(fields.iter().map(|name| cell(row, name))));
            app.printer.write(Stream::Out, table.render(width).as_bytes());
        }
        template @ Format::Template { .. } => {
            let text = template.apply(&rows, width).unwrap_or_else(|| Ok(String::new()));
            app.printer.write(Stream::Out, text.map_err(|why| CommandError::new(Kind::Usage, why))?.as_bytes());
        }
    }
    Ok(())
}

/// Returns a line a tag, or one for an image without any.
pub(crate) fn named(image: &ImageSummary) -> Vec<Named<'_>> {
    let digest = |repository: &str| {
        let own = image.digests.iter().filter_map(|digest| digest.split_once('@'));
        own.into_iter().find(|(name, _)| *name == repository).map_or("<none>", |(_, digest)| digest).to_owned()
    };
    let line = |reference: &String| {
        let (repository, tag) = split(reference);
        Named { image, repository: repository.into(), tag: tag.into(), digest: digest(repository) }
    };
    match image.references.is_empty() {
        false => image.references.iter().map(line).collect(),
        true => vec![Named { image, repository: "<none>".into(), tag: "<none>".into(), digest: "<none>".into() }],
    }
}

fn row(named: &Named<'_>, now: SystemTime, whole: bool) -> Value {
    let image = named.image;
    json!({
        "Containers": "N/A",
        "CreatedAt": image.created.map(age::go_time).unwrap_or_default(),
        "CreatedSince": image.created.map_or_else(|| "N/A".to_owned(), |created| age::ago(created, now)),
        "Digest": named.digest,
        "ID": short(&image.id, whole),
        "Repository": named.repository,
        "SharedSize": "N/A",
        "Size": size(image.size),
        "Tag": named.tag,
        "UniqueSize": "N/A",
        "VirtualSize": size(image.size),
    })
}

/// Docker's filters: all of them must hold, of several references one.
pub(crate) struct Filter {
    dangling: Option<bool>,
    labels: Vec<String>,
    references: Vec<String>,
    before: Option<SystemTime>,
    since: Option<SystemTime>,
    until: Option<SystemTime>,
}

impl Filter {
    /// Reads `key=value` each; `before` and `since` name one of `images`.
    pub(crate) fn parse(given: &[String], images: &[ImageSummary]) -> Result<Self, CommandError> {
        let mut filter =
            Self { dangling: None, labels: vec![], references: vec![], before: None, since: None, until: None };
        let wrong = |text: &str| CommandError::new(Kind::Usage, format!("the filter `{text}` is not understood"));
        let time = |name: &str| {
            let found = images.iter().find(|image| {
                let id = image.id.trim_start_matches("sha256:");
                image.references.iter().any(|it| it == name || *it == format!("{name}:latest"))
                    || id.starts_with(name.trim_start_matches("sha256:"))
            });
            let missing = || CommandError::new(Kind::Failed, format!("no image `{name}`"));
            found.map(|image| image.created).ok_or_else(missing)
        };
        for text in given {
            match text.split_once('=').ok_or_else(|| wrong(text))? {
                ("dangling", value) => {
                    let value = matches!(value, "true" | "1" | "false" | "0").then_some(matches!(value, "true" | "1"));
                    filter.dangling = Some(value.ok_or_else(|| wrong(text))?);
                }
                ("label", value) => filter.labels.push(value.to_owned()),
                ("reference", value) => filter.references.push(value.to_owned()),
                ("before", value) => filter.before = time(value)?,
                ("since", value) => filter.since = time(value)?,
                ("until", value) => filter.until = Some(moment(value).ok_or_else(|| wrong(text))?),
                _ => return Err(wrong(text).hint("there are dangling, label, reference, before, since and until")),
            }
        }
        Ok(filter)
    }

    pub(crate) fn takes(&self, named: &Named<'_>) -> bool {
        let image = named.image;
        let has = |asked: &String| match asked.split_once('=') {
            Some((key, value)) => image.labels.get(key).is_some_and(|found| found == value),
            None => image.labels.contains_key(asked),
        };
        let before = |limit: Option<SystemTime>| limit.is_none_or(|limit| image.created.is_some_and(|it| it < limit));
        self.dangling.is_none_or(|dangling| dangling == (image.references.is_empty() && !image.of_platform))
            && self.labels.iter().all(has)
            && (self.references.is_empty() || self.references.iter().any(|pattern| matches(pattern, named)))
            && before(self.before)
            && before(self.until)
            && self.since.is_none_or(|since| image.created.is_some_and(|it| it > since))
    }
}

/// A length of time before now (`24h`, `90m`), or seconds since 1970.
pub(crate) fn moment(text: &str) -> Option<SystemTime> {
    if let Ok(seconds) = text.parse() {
        return SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds));
    }
    let (mut total, mut number) = (0_u64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        total = total.checked_add(std::mem::take(&mut number).parse::<u64>().ok()?.checked_mul(unit)?)?;
    }
    if number.is_empty() { SystemTime::now().checked_sub(std::time::Duration::from_secs(total)) } else { None }
}

/// Says whether a pattern with `*` and `?` means this name: with a tag, that tag; a pattern without `/` the last part too.
fn matches(pattern: &str, named: &Named<'_>) -> bool {
    let whole = format!("{}:{}", named.repository, named.tag);
    let last = |text: &str| text.rsplit('/').next().unwrap_or(text).to_owned();
    [whole.clone(), named.repository.clone()].iter().any(|text| {
        glob(pattern.as_bytes(), text.as_bytes())
            || (!pattern.contains('/')
                && pattern.contains(['*', '?'])
                && glob(pattern.as_bytes(), last(text).as_bytes()))
    })
}

/// `*` and `?` do not go over a `/`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob(rest, text) || text.split_first().is_some_and(|(c, after)| *c != b'/' && glob(pattern, after))
        }
        (Some((b'?', rest)), Some((c, after))) => *c != b'/' && glob(rest, after),
        (Some((p, rest)), Some((c, after))) => p == c && glob(rest, after),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_names_and_tags() {
        let image = ImageSummary { references: vec!["r.example/web/app:1".into()], ..ImageSummary::default() };
        let named = &named(&image)[0];
        for pattern in ["r.example/web/app", "r.example/web/app:1", "r.example/*/app", "app*", "r.example/web/a?p:*"] {
            assert!(matches(pattern, named), "{pattern}");
        }
        for pattern in ["app", "r.example/*", "r.example/web/app:2"] {
            assert!(!matches(pattern, named), "{pattern}");
        }
    }

    #[test]
    fn filters_add_up() {
        let tagged = ImageSummary {
            id: "sha256:aa".into(),
            references: vec!["a:1".into()],
            labels: [("k".to_owned(), "v".to_owned())].into(),
            created: Some(SystemTime::UNIX_EPOCH),
            ..ImageSummary::default()
        };
        let dangling = ImageSummary { id: "sha256:bb".into(), ..ImageSummary::default() };
        let images = [tagged, dangling];
        let count = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|it| (*it).to_owned()).collect();
            let filter = Filter::parse(&given, &images).unwrap();
            images.iter().flat_map(named).filter(|it| filter.takes(it)).count()
        };
        assert_eq!((count(&[]), count(&["dangling=true"]), count(&["label=k=v"]), count(&["label=k=w"])), (2, 1, 1, 0));
        assert_eq!((count(&["until=1h"]), count(&["reference=a"]), count(&["dangling=true", "label=k"])), (1, 1, 0));
        assert!(Filter::parse(&["nope=1".into()], &images).is_err());
        assert!(moment("1h30m").is_some() && moment("x").is_none() && moment("3").is_some());
    }
}
