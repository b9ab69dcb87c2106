//! The `data` object and the list of fields.

use super::*;

fn data(json: &str, under: &str, given: &[(&str, &str)], normalise: bool) -> String {
    let mut bytes = json.as_bytes().to_vec();
    let tape = simd_json::to_tape(&mut bytes).unwrap();
    let reading = Reading { normalise, cloudtrail: normalise, ..Reading::default() };
    let mut out = String::new();
    write_object(&Members { tape: &tape.0, under, given: given.to_vec(), reading }, &mut out);
    out
}

#[test]
fn scalars_are_text_arrays_are_arrays_empty_values_go() {
    assert_eq!(
        data(
            r#"{"a":1,"b":{"c":true,"d":{}},"e":"","f":[1,"x",{"g":null}],"h":null,"i":{"j":""}}"#,
            "",
            &[],
            false
        ),
        r#"{"a":"1","b":{"c":"true"},"f":[1,"x",{"g":null}],"h":"null"}"#
    );
    assert_eq!(data("{}", "", &[], false), "{}");
    assert_eq!(data(r#"{"a":{"b":""},"c":"d"}"#, "", &[], false), r#"{"c":"d"}"#);
}

#[test]
fn the_mapping_adds_its_names() {
    let given = [("integration", "aws"), ("aws.source", "cloudtrail"), ("aws.log_info.log_file", "k")];
    assert_eq!(
        data(
            r#"{"source":"x","sourceIPAddress":"203.0.113.9","n":null,"r":[{"a":[1]}]}"#,
            "aws",
            &given,
            true
        ),
        r#"{"integration":"aws","aws":{"source":"cloudtrail","log_info":{"log_file":"k"},"sourceIPAddress":"203.0.113.9","source_ip_address":"203.0.113.9","r":{"a":[1]}}}"#
    );
}

#[test]
fn dots_in_keys_nest_and_merge() {
    assert_eq!(
        data(r#"{"k.a":1,"k":{"b":2},"k.b":3,"l":[1]}"#, "", &[], false),
        r#"{"k":{"a":"1","b":"2"},"l":[1]}"#
    );
}

#[test]
fn texts_that_are_arrays_become_arrays() {
    assert_eq!(
        data(r#"{"a":"[\"x\", 1]","b":"[no","c":"[\n1]","K":1,"k":2}"#, "", &[], false),
        r#"{"a":["x", 1],"b":"[no","c":[1],"K":"1"}"#
    );
}

#[test]
fn fields_are_listed_by_full_name() {
    let mut bytes = br#"{"a":{"b":1},"c":["x"]}"#.to_vec();
    let tape = simd_json::to_tape(&mut bytes).unwrap();
    let members = Members {
        tape: &tape.0,
        under: "aws",
        given: vec![("integration", "aws")],
        reading: Reading { normalise: true, cloudtrail: true, ..Reading::default() },
    };
    let mut fields = Vec::new();
    for_each_field(&members, &mut |name, value| fields.push(format!("{name}={value}")));
    assert_eq!(fields, ["integration=aws", "aws.a.b=1", "aws.c=x"]);
}

#[test]
fn repeated_objects_become_one() {
    assert_eq!(
        data(r#"{"a":{"b":1},"A":{"c":2,"B":3},"d":"","D":4}"#, "", &[], false),
        r#"{"a":{"b":"1","c":"2"},"D":"4"}"#
    );
    assert_eq!(data(r#"{"a":1,"a":{"b":2},"a.c":3,"x":{},"X":5}"#, "", &[], false), r#"{"a":"1","X":"5"}"#);
}

#[test]
fn keys_of_dots_do_not_nest_without_end() {
    let deep = data(&format!(r#"{{"{}":1}}"#, "a.".repeat(30_000)), "", &[], false);
    let depth = deep.bytes().filter(|byte| *byte == b'{').count();
    assert_eq!(depth, 65);
    assert!(serde_json::from_str::<serde_json::Value>(&deep).is_ok());
}

#[test]
fn static_fields_come_first_under_their_own_names() {
    for (record, expected) in [
        (
            r#"{"b":{"user":"v","id":1},"systemname":"s","user":"u","System_Name":"t"}"#,
            r#"{"system_name":"s","dstuser":"u","b":{"user":"v","id":"1"}}"#,
        ),
        (r#"{"dstuser":"d","user":"u"}"#, r#"{"dstuser":"d","user":"u"}"#),
        (r#"{"user":"u","dstuser":"d"}"#, r#"{"dstuser":"d"}"#),
        (r#"{"id":1,"ID":2,"id":3}"#, r#"{"id":"3"}"#),
        (r#"{"data":{"id":1}}"#, r#"{"data":{"id":"1"}}"#),
    ] {
        assert_eq!(data(record, "", &[], false), expected);
    }
    assert_eq!(data(r#"{"user":"u"}"#, "x", &[], false), r#"{"x":{"user":"u"}}"#);
}

#[test]
fn a_wrapped_boolean_may_have_come_in_a_list() {
    assert_eq!(
        data(r#"{"requestParameters":{"disableApiTermination":[true]}}"#, "aws", &[], true),
        r#"{"aws":{"requestParameters":{"disableApiTermination":{"value":"true"}}}}"#
    );
}

#[test]
fn the_first_field_of_a_name_is_listed() {
    let mut bytes = br#"{"a":{"b":1},"A.b":2,"a":{"B":3,"c":4}}"#.to_vec();
    let tape = simd_json::to_tape(&mut bytes).unwrap();
    let members = Members { tape: &tape.0, under: "", given: Vec::new(), reading: Reading::default() };
    let mut fields = Vec::new();
    for_each_field(&members, &mut |name, value| fields.push(format!("{name}={value}")));
    assert_eq!(fields, ["a.b=1", "a.c=4"]);
}

#[test]
fn keys_that_differ_in_letter_case_have_the_same_shape() {
    for key in ["", "a", "Z", "requestParameters", "\u{e9}A", "[@Z"] {
        assert_eq!(shape(key), shape(&key.to_ascii_uppercase()), "{key}");
        assert!(shape(key) < 128);
    }
    let many = "k".repeat(1_000);
    assert_eq!(shape(&many), shape(&many.to_ascii_uppercase()));
    assert_eq!(data(r#"{"aX":1,"b":2,"Ax":3}"#, "", &[], false), r#"{"aX":"1","b":"2"}"#);
}
