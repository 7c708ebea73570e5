//! Laws that hold for any input of the small grammars: references, files of variables, lengths of time, sizes, overrides.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use compose::canonical::{bytes, duration};
use compose::environment::dotenv;
use compose::interpolate::template;
use compose::{LoadRequest, Project};
use proptest::prelude::{ProptestConfig, any};
use proptest::{collection, prop_assert_eq, prop_assume, proptest};

fn substitute(text: &str, variables: &BTreeMap<String, String>) -> String {
    template::substitute(text, &|name| variables.get(name).cloned(), &mut Vec::new()).unwrap()
}

fn parse(text: &str) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    dotenv::parse(text, &mut variables, &|_| None).unwrap();
    variables
}

fn project(files: &[&str]) -> Project {
    let files: BTreeMap<PathBuf, String> =
        files.iter().enumerate().map(|(index, text)| (format!("/p/{index}.yaml").into(), (*text).to_owned())).collect();
    let request =
        LoadRequest { files: files.keys().cloned().collect(), working_directory: "/p".into(), ..Default::default() };
    let loaded = compose::load(&request, &files);
    loaded.project.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

/// A service with these variables, as a file.
fn with_environment(variables: &BTreeMap<String, u16>) -> String {
    let text = serde_json::to_string(variables).unwrap();
    format!("services: {{a: {{image: x, environment: {text}}}}}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_doubled_dollar_is_a_dollar_whatever_stands_around_it(text in "[a-zA-Z0-9 :{}$/.-]{0,40}") {
        prop_assert_eq!(substitute(&text.replace('$', "$$"), &BTreeMap::new()), text);
    }

    #[test]
    fn the_forms_of_a_reference_choose_between_value_and_word(
        value in "[a-z0-9 ./]{0,12}", word in "[a-z0-9 ./]{1,12}", is_set in any::<bool>()
    ) {
        let variables: BTreeMap<_, _> = is_set.then(|| ("V".to_owned(), value.clone())).into_iter().collect();
        let own = if is_set { value.clone() } else { String::new() };
        let filled = is_set && !value.is_empty();
        let say = |text: &str| substitute(&text.replace("word", &word), &variables);
        prop_assert_eq!(say("<${V}>$V"), format!("<{own}>{own}"));
        prop_assert_eq!(say("${V-word}"), if is_set { value.as_str() } else { word.as_str() });
        prop_assert_eq!(say("${V:-word}"), if filled { value.as_str() } else { word.as_str() });
        prop_assert_eq!(say("${V+word}"), if is_set { word.as_str() } else { "" });
        prop_assert_eq!(say("${V:+word}"), if filled { word.as_str() } else { "" });
        prop_assert_eq!(say("${NONE:-${V:-word}}"), if filled { value.as_str() } else { word.as_str() });
    }

    #[test]
    fn what_is_written_into_a_file_of_variables_is_read_from_it(
        variables in collection::btree_map("[A-Z_][A-Z0-9_]{0,8}", "[a-zA-Z0-9 #=:/$\n.-]{0,20}", 0..6)
    ) {
        let text: String = variables.iter().map(|(name, value)| format!("{name}='{value}'\n")).collect();
        prop_assert_eq!(parse(&text), variables.clone());
        let text: String = variables
            .iter()
            .map(|(name, value)| format!("export {name}=\"{}\" # c\n", value.replace('$', "\\$")))
            .collect();
        prop_assert_eq!(parse(&text), variables);
    }

    #[test]
    fn a_length_of_time_is_read_as_it_is_printed(nanoseconds in 0_i64..1_000_000_000_000_000) {
        prop_assert_eq!(duration::parse(&duration::format(nanoseconds)), Ok(nanoseconds));
    }

    #[test]
    fn a_length_of_time_is_the_sum_of_its_parts(hours in 0_i64..100, minutes in 0_i64..600, seconds in 0_i64..600) {
        let sum = (hours * 3600 + minutes * 60 + seconds) * 1_000_000_000;
        prop_assert_eq!(duration::parse(&format!("{hours}h{minutes}m{seconds}s")), Ok(sum));
    }

    #[test]
    fn units_of_size_are_powers_of_1024_in_any_spelling(number in 0_i64..1024, power in 0_usize..5) {
        let size = number * 1024_i64.pow(u32::try_from(power).unwrap());
        for unit in [["b", "k", "m", "g", "t"], ["B", "kb", "MB", "Gb", "TB"], ["", "KiB", "mib", "GIB", "TiB"]] {
            prop_assert_eq!(bytes::parse(&format!("{number}{}", unit[power])), Ok(size));
        }
    }

    #[test]
    fn an_override_wins_name_by_name_and_files_are_laid_one_by_one(
        first in collection::btree_map("[A-Z]", any::<u16>(), 1..5),
        second in collection::btree_map("[A-Z]", any::<u16>(), 1..5),
        third in collection::btree_map("[A-Z]", any::<u16>(), 1..5),
    ) {
        let [one, two, three] = [&first, &second, &third].map(with_environment);
        let both = project(&[&one, &two, &three]).canonical["services"]["a"]["environment"].clone();
        let mut expected = first.clone();
        expected.extend(second.clone());
        expected.extend(third.clone());
        let expected: BTreeMap<String, String> =
            expected.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        prop_assert_eq!(&both, &serde_json::to_value(expected).unwrap());
        // A file over itself says nothing new.
        prop_assume!(one != two);
        prop_assert_eq!(project(&[&one, &one]).canonical, project(&[&one]).canonical);
    }
}
