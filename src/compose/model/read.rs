//! Reading typed values out of canonical JSON. What a field lacks is its default.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::canonical::duration;
use crate::model::bytes::Bytes;
use crate::model::duration::Duration;

/// Returns the value at `key` of an object.
///
/// Objects of the canonical tree have few keys of many that there could be: looking through them costs less than the
/// hash of each that is asked for.
pub fn get<'j>(json: &'j Json, key: &str) -> Option<&'j Json> {
    json.as_object()?.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// Returns the string at `key`.
pub fn text(json: &Json, key: &str) -> Option<String> {
    get(json, key)?.as_str().map(str::to_owned)
}

/// Returns the string at `key`, or an empty one.
pub fn string(json: &Json, key: &str) -> String {
    text(json, key).unwrap_or_default()
}

/// Returns the boolean at `key`, or `false`.
pub fn flag(json: &Json, key: &str) -> bool {
    get(json, key).and_then(Json::as_bool).unwrap_or_default()
}

/// Returns the whole number at `key`.
pub fn int(json: &Json, key: &str) -> Option<i64> {
    get(json, key)?.as_i64()
}

/// Returns the number at `key`.
pub fn float(json: &Json, key: &str) -> Option<f64> {
    get(json, key)?.as_f64()
}

/// Returns the size at `key`.
pub fn bytes(json: &Json, key: &str) -> Option<Bytes> {
    get(json, key)?.as_str()?.parse().ok().map(Bytes)
}

/// Returns the length of time at `key`.
pub fn length(json: &Json, key: &str) -> Option<Duration> {
    let text = get(json, key)?.as_str()?;
    duration::parse(text).ok().map(Duration)
}

/// Returns the octal mode at `key`.
pub fn mode(json: &Json, key: &str) -> Option<u32> {
    u32::from_str_radix(get(json, key)?.as_str()?, 8).ok()
}

/// Returns the strings of the list at `key`.
pub fn texts(json: &Json, key: &str) -> Vec<String> {
    get(json, key).map(strings).unwrap_or_default()
}

/// Returns the strings of a list.
pub fn strings(json: &Json) -> Vec<String> {
    list(json).filter_map(Json::as_str).map(str::to_owned).collect()
}

/// Returns the list at `key`, if there is one; an empty list is one.
pub fn maybe_texts(json: &Json, key: &str) -> Option<Vec<String>> {
    get(json, key).filter(|value| value.is_array()).map(strings)
}

/// Returns the items of a list.
pub fn list(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

/// Returns what `read` makes of each item of the list at `key`.
pub fn each<T>(json: &Json, key: &str, read: impl Fn(&Json) -> T) -> Vec<T> {
    get(json, key).into_iter().flat_map(list).map(read).collect()
}

/// Returns what `read` makes of each entry of the mapping at `key`.
pub fn map<T>(json: &Json, key: &str, read: impl Fn(&str, &Json) -> T) -> BTreeMap<String, T> {
    let map = get(json, key).and_then(Json::as_object);
    map.into_iter().flatten().map(|(name, value)| (name.clone(), read(name, value))).collect()
}

/// Returns the strings of the mapping at `key`.
pub fn pairs(json: &Json, key: &str) -> BTreeMap<String, String> {
    map(json, key, |_, value| value.as_str().unwrap_or_default().to_owned())
}

/// Returns the strings of the mapping at `key`, of which some may be missing.
pub fn maybe_pairs(json: &Json, key: &str) -> BTreeMap<String, Option<String>> {
    map(json, key, |_, value| value.as_str().map(str::to_owned))
}

/// Returns host names and addresses of a list of `host=address`.
pub fn hosts(json: &Json, key: &str) -> BTreeMap<String, Vec<String>> {
    let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in texts(json, key) {
        if let Some((host, address)) = entry.split_once('=') {
            hosts.entry(host.to_owned()).or_default().push(address.to_owned());
        }
    }
    hosts
}

/// Returns what `read` makes of the object at `key`.
pub fn object<T>(json: &Json, key: &str, read: impl FnOnce(&Json) -> T) -> Option<T> {
    get(json, key).filter(|value| value.is_object()).map(read)
}

/// Returns a count that fits.
pub fn count(json: &Json, key: &str) -> Option<u32> {
    u32::try_from(int(json, key)?).ok()
}

/// Returns a number that is not negative.
pub fn unsigned(json: &Json, key: &str) -> Option<u64> {
    u64::try_from(int(json, key)?).ok()
}
