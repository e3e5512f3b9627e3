//! A strict reader of Prometheus' text format, version 0.0.4: it panics where a line is not what
//! the format says, so that a test that reads metrics also judges their text.

use std::collections::BTreeMap;

/// The samples of a text, by name and labels as they stand in it.
#[derive(Debug)]
pub struct Exposition(BTreeMap<String, f64>);

impl Exposition {
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends too");
        let mut reader = Reader::default();
        for line in text.lines() {
            reader.line(line);
        }
        reader.family_ends();
        Self(reader.samples)
    }

    /// The value of `name{labels}`.
    pub fn value(&self, series: &str) -> f64 {
        let value = self.0.get(series);
        *value.unwrap_or_else(|| panic!("there is no {series} in {self:#?}"))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[derive(Default)]
struct Reader {
    samples: BTreeMap<String, f64>,
    families: Vec<String>,
    /// The family that the samples belong to, its type, and how many it has.
    family: String,
    helped: bool,
    kind: Option<String>,
    count: usize,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            self.family_ends();
            let (name, words) = help.split_once(' ').expect("a name and words");
            assert_name(name);
            assert!(!words.trim().is_empty(), "{line}: nothing is said");
            let new = !self.families.iter().any(|family| family == name);
            assert!(
                new,
                "{name} comes twice, or its samples do not stand together"
            );
            self.families.push(name.into());
            self.family = name.into();
            (self.helped, self.kind, self.count) = (true, None, 0);
        } else if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of.split_once(' ').expect("a name and a type");
            assert!(self.helped && self.kind.is_none(), "{line}: no HELP before");
            assert_eq!(name, self.family);
            assert!(matches!(kind, "counter" | "gauge"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            self.kind = Some(kind.into());
        } else {
            self.sample(line);
        }
    }

    fn sample(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').expect("a series and a value");
        let name = series.split('{').next().expect("a name");
        assert!(self.kind.is_some(), "{line}: no TYPE before");
        assert_eq!(name, self.family, "{line}");
        if let Some(labels) = series.strip_prefix(name).filter(|rest| !rest.is_empty()) {
            let inner = labels.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            assert_labels(inner.unwrap_or_else(|| panic!("{line}: no braces")));
        }
        let value: f64 = value
            .parse()
            .unwrap_or_else(|_| panic!("{line}: no number"));
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let before = self.samples.insert(series.into(), value);
        assert!(before.is_none(), "{series} comes twice");
        self.count += 1;
    }

    fn family_ends(&self) {
        let empty = self.helped && self.count == 0;
        assert!(!empty, "{} has no sample", self.family);
    }
}

fn assert_name(name: &str) {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|it| it.is_ascii_lowercase());
    let rest = bytes.all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_');
    assert!(first && rest && name.starts_with("aire_"), "{name}");
}

/// `name="value",...`, in which a backslash is followed by what it escapes.
fn assert_labels(mut labels: &str) {
    loop {
        let (name, rest) = labels.split_once("=\"").expect("a name and a value");
        let good = |it: u8| it.is_ascii_lowercase() || it == b'_';
        assert!(!name.is_empty() && name.bytes().all(good), "{name}");
        let mut escaped = false;
        let end = rest.find(|c| match c {
            _ if escaped => {
                assert!(matches!(c, '\\' | '"' | 'n'), "{rest}");
                escaped = false;
                false
            }
            '\\' => {
                escaped = true;
                false
            }
            c => c == '"',
        });
        labels = rest
            .get(end.expect("a closing quote") + 1..)
            .expect("ASCII");
        if labels.is_empty() {
            return;
        }
        labels = labels.strip_prefix(',').expect("a comma");
    }
}
