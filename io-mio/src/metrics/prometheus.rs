//! The metrics as text, in version 0.0.4 of Prometheus' exposition format.

use std::fmt::{self, Write};

use super::{Kind, Metrics, Sample};

impl Metrics {
    /// All metrics as text that Prometheus scrapes. Serve it as
    /// `text/plain; version=0.0.4; charset=utf-8`.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        // A string takes all there is.
        let _written = write(&mut text, &self.samples());
        text
    }
}

fn write(out: &mut String, samples: &[Sample]) -> fmt::Result {
    let mut family = "";
    for sample in samples {
        if sample.name != family {
            family = sample.name;
            let kind = match sample.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            out.write_str("# HELP ")?;
            out.write_str(family)?;
            out.write_char(' ')?;
            escaped(out, sample.help, false)?;
            writeln!(out, "\n# TYPE {family} {kind}")?;
        }
        out.write_str(sample.name)?;
        let mut before = '{';
        for (name, value) in &sample.labels {
            write!(out, "{before}{name}=\"")?;
            escaped(out, value, true)?;
            out.write_char('"')?;
            before = ',';
        }
        if !sample.labels.is_empty() {
            out.write_char('}')?;
        }
        writeln!(out, " {}", sample.value)?;
    }
    Ok(())
}

/// Writes text that may hold what ends a line, or a label's value.
fn escaped(out: &mut String, text: &str, in_quotes: bool) -> fmt::Result {
    for c in text.chars() {
        match c {
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '"' if in_quotes => out.write_str("\\\"")?,
            c => out.write_char(c)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_line_or_a_value_is_escaped() {
        let sample = |labels, value| Sample {
            name: "aire_things_total",
            help: "A \"thing\" of\nC:\\",
            kind: Kind::Counter,
            labels,
            value,
        };
        let mut text = String::new();
        let samples = [
            sample(vec![("what", "a \"thing\" of\nC:\\"), ("n", "1")], 3.0),
            sample(Vec::new(), 0.25),
        ];
        write(&mut text, &samples).expect("a string takes all");
        let expected = concat!(
            "# HELP aire_things_total A \"thing\" of\\nC:\\\\\n",
            "# TYPE aire_things_total counter\n",
            "aire_things_total{what=\"a \\\"thing\\\" of\\nC:\\\\\",n=\"1\"} 3\n",
            "aire_things_total 0.25\n",
        );
        assert_eq!(text, expected);
    }
}
