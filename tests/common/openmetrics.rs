//! What is read from a listener of metrics, held against the rules of both of its forms.

use super::PATIENCE;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// An answer by HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

/// Asks for something by HTTP, with these lines in the head.
pub fn ask(address: SocketAddr, method: &str, path: &str, head: &str) -> Answer {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = if head.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    write!(socket, "{method} {path} HTTP/1.1\r\n{host}{head}Connection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (headers, body) = text.split_once("\r\n\r\n").expect("a whole answer");
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, headers: headers.to_lowercase(), body: body.to_owned() }
}

/// A metric: what is said of it, and its samples: name and labels, and the value.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    pub help: String,
    unit: Option<String>,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// All that was read.
#[derive(Debug)]
pub struct Page {
    pub families: BTreeMap<String, Family>,
}

impl Page {
    /// Reads a listener's metrics in the form of OpenMetrics.
    pub fn of(address: SocketAddr) -> Self {
        let answer = ask(address, "GET", "/metrics", "Accept: application/openmetrics-text\r\n");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.headers.contains("content-type: application/openmetrics-text; version=1"));
        let body = answer.body.strip_suffix("# EOF\n").expect("an end");
        Self::parse(body, true)
    }

    /// Reads them in the older form.
    pub fn plain(address: SocketAddr) -> Self {
        let answer = ask(address, "GET", "/metrics", "");
        assert!(answer.headers.contains("content-type: text/plain; version=0.0.4"), "{answer:?}");
        Self::parse(&answer.body, false)
    }

    fn parse(text: &str, open: bool) -> Self {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        let mut series = BTreeSet::new();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(about) = line.strip_prefix("# ") {
                let (what, rest) = about.split_once(' ').expect(line);
                let (name, words) = rest.split_once(' ').expect(line);
                assert!(is_name(name), "{line}");
                if name != current {
                    assert!(!families.contains_key(name), "twice: {line}");
                    current = name.to_owned();
                    families.insert(current.clone(), Family::default());
                }
                let family = families.get_mut(name).unwrap();
                assert!(family.samples.is_empty(), "after its samples: {line}");
                let place = match what {
                    "HELP" => &mut family.help,
                    "TYPE" => &mut family.kind,
                    "UNIT" if open => family.unit.get_or_insert_default(),
                    _ => panic!("{line}"),
                };
                assert!(place.is_empty() && !words.is_empty(), "{line}");
                *place = words.to_owned();
                continue;
            }
            let (name, labels, value) = sample(line);
            let family = families.get_mut(&current).expect(line);
            let suffix = name.strip_prefix(&current).unwrap_or_else(|| panic!("no family: {line}"));
            let suffixes: &[&str] = match (family.kind.as_str(), open) {
                ("counter", true) => &["_total"],
                ("counter" | "gauge", _) => &[""],
                ("info", true) => &["_info"],
                ("histogram", _) => &["_bucket", "_sum", "_count"],
                (kind, _) => panic!("'{kind}': {line}"),
            };
            assert!(suffixes.contains(&suffix), "{line}");
            assert!(family.kind != "counter" || value >= 0.0, "{line}");
            assert!(open || family.kind != "counter" || name.ends_with("_total"), "{line}");
            assert!(series.insert((name.clone(), labels.clone())), "twice: {line}");
            family.samples.push((name, labels, value));
        }
        for (name, family) in &families {
            assert!(!family.kind.is_empty() && !family.help.is_empty(), "{name}");
            if let Some(unit) = &family.unit {
                assert!(name.ends_with(&format!("_{unit}")), "{name} in {unit}");
            }
            if family.kind == "histogram" {
                family.check_buckets(name);
            }
        }
        Self { families }
    }

    /// The value that has these labels, and no others.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let found = self.samples().find(|(one, labels, _)| one == name && *labels == wanted);
        found.unwrap_or_else(|| panic!("there is no {name} {labels:?}")).2
    }

    /// All values of this name together.
    pub fn sum(&self, name: &str) -> f64 {
        let values = self.samples().filter(|(one, _, _)| one == name).map(|(_, _, value)| *value);
        let values: Vec<f64> = values.collect();
        assert!(!values.is_empty(), "there is no {name}");
        values.iter().sum()
    }

    /// The names of all series.
    pub fn names(&self) -> BTreeSet<String> {
        self.samples().map(|(name, _, _)| name.clone()).collect()
    }

    fn samples(&self) -> impl Iterator<Item = &(String, BTreeMap<String, String>, f64)> {
        self.families.values().flat_map(|family| &family.samples)
    }
}

impl Family {
    fn check_buckets(&self, name: &str) {
        let mut groups: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
        for (sample, labels, value) in &self.samples {
            if sample.ends_with("_bucket") {
                let mut labels = labels.clone();
                let bound = match labels.remove("le").expect("a bound").as_str() {
                    "+Inf" => f64::INFINITY,
                    bound => bound.parse().expect("a bound"),
                };
                groups.entry(labels).or_default().push((bound, *value));
            }
        }
        assert!(!groups.is_empty(), "{name} has no buckets");
        for (labels, buckets) in groups {
            let grows = buckets.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1);
            assert!(grows, "{name} {labels:?}: {buckets:?}");
            let (bound, all) = *buckets.last().unwrap();
            let of = |suffix: &str| {
                let name = format!("{name}_{suffix}");
                let found = self.samples.iter().find(|one| one.0 == name && one.1 == labels);
                found.unwrap_or_else(|| panic!("{name} {labels:?}")).2
            };
            assert!(bound.is_infinite() && of("count") == all, "{name} {labels:?}");
            assert_eq!(of("sum") > 0.0, all > 0.0, "{name} {labels:?}");
        }
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(fits) && name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// A sample: its name, labels and value.
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (series, value) = line.rsplit_once(' ').expect(line);
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}').expect(line)),
        None => (series, ""),
    };
    assert!(is_name(name), "{line}");
    let mut found = BTreeMap::new();
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (name, value) = label.split_once('=').expect(line);
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).expect(line);
        assert!(is_name(name) && !value.contains(['"', '\\', '{']), "{line}");
        assert!(found.insert(name.to_owned(), value.to_owned()).is_none(), "twice: {line}");
    }
    (name.to_owned(), found, value.parse().expect(line))
}
