//! CloudTrail records as the reference's collector hands them to its engine: one line of JSON, the record below `aws`.
//!
//! Enters: a seed. Leaves: the records of [`CloudTrail`], each in its envelope.

use threatlockdown_ruleset::naive;

use crate::cloudtrail::CloudTrail;

/// Makes one line after another.
#[derive(Debug, Clone)]
pub struct Enveloped {
    records: CloudTrail,
    facts: Vec<(String, String)>,
    record: String,
}

impl Enveloped {
    /// Starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let file = "AWSLogs/111122220000/CloudTrail/us-east-1/2026/11/20/111122220000_CloudTrail_us-east-1_20261120T0005Z_Qx8rT2vLk0pZ5sWd.json.gz";
        let facts = vec![
            fact("log_file", file),
            fact("s3bucket", "example-audit-logs"),
            fact("aws_account_alias", ""),
            fact("aws_account_id", "111122220000"),
        ];
        Self { records: CloudTrail::new(seed), facts, record: String::new() }
    }

    /// Appends the next line, without its end.
    pub fn write(&mut self, out: &mut String) {
        self.record.clear();
        self.records.write(&mut self.record);
        let line = naive::envelope("aws.cloudtrail", self.record.as_bytes(), &self.facts);
        out.push_str(&String::from_utf8_lossy(&line.unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_below_its_provider_s_name() {
        let mut line = String::new();
        let mut generator = Enveloped::new(1);
        generator.write(&mut line);
        assert!(line.starts_with("{\"integration\":"), "{line}");
        assert!(line.contains("\"aws\":{\"log_info\":") && line.contains("eventVersion"), "{line}");
        assert!(!line.contains('\n'));
    }
}
