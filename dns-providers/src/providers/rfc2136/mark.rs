//! The mark of ownership as a value of a TXT set.

use hickory_proto::rr::rdata::TXT;

pub(super) use crate::mark::{Mark, at, marked};

use super::value::{Set, Value};

impl Mark {
    /// Reads a TXT set; it is a mark if it has one value and that is one.
    pub(super) fn read(set: &Set) -> Option<Self> {
        let [Value::Text(text)] = set.values.as_slice() else { return None };
        Mark::parse(&String::from_utf8(text.txt_data.concat()).ok()?)
    }

    pub(super) fn write(&self) -> Value {
        Value::Text(TXT::new(vec![self.text()]))
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::RecordType;

    use super::*;
    use crate::Kind;

    fn read(values: &[Value]) -> Option<Mark> {
        Mark::read(&Set { kind: RecordType::TXT, ttl: 60, values: values.to_vec() })
    }

    #[test]
    fn a_mark_may_be_cut_in_strings_and_stands_alone() {
        let mark = Mark { owner: "fellowship".to_owned(), kinds: [Kind::A].into() };
        let text = |parts: &[&str]| Value::Text(TXT::new(parts.iter().map(ToString::to_string).collect()));
        assert_eq!(read(&[mark.write()]), Some(mark.clone()));
        assert_eq!(read(&[text(&["heritage=kubefed,v=1,owner=fellow", "ship,types=A"])]), Some(mark.clone()));
        assert_eq!(read(&[mark.write(), text(&["v=spf1"])]), None);
    }
}
