//! The dialect, fault tolerance, and limits.

use std::sync::Arc;

use super::*;
use crate::wazuh::variables;

/// Elements as text: `name(attribute=value)[children]{content}`, `!` before a broken one; then the faults.
fn read(text: &str) -> (String, Vec<String>) {
    let source = Source::new(&Arc::from("f"), text.as_bytes()).unwrap();
    let mut faults = Faults::new(&source, crate::wazuh::Origin::User);
    let mut roots = parse(&source, &mut faults);
    variables::apply(&mut roots, &mut faults);
    let shown = roots.iter().map(show).collect::<Vec<_>>().join(" ");
    let faults = faults.into_diagnostics();
    let faults =
        faults.iter().map(|fault| format!("{}:{} {}", fault.place.line, fault.place.column, fault.message));
    (shown, faults.collect())
}

fn show(element: &Element<'_>) -> String {
    let mut shown = if element.broken { "!".to_owned() } else { String::new() };
    shown.push_str(element.name);
    for attribute in &element.attributes {
        shown.push_str(&format!("({}={})", attribute.name, attribute.value.value));
    }
    if !element.children.is_empty() {
        let children: Vec<String> = element.children.iter().map(show).collect();
        shown.push_str(&format!("[{}]", children.join(" ")));
    }
    if !element.content.value.is_empty() {
        shown.push_str(&format!("{{{}}}", element.content.value));
    }
    shown
}

/// The elements of a text without faults.
fn clean(text: &str) -> String {
    let (shown, faults) = read(text);
    assert_eq!(faults, [] as [String; 0], "{text}");
    shown
}

#[test]
fn content_is_kept_byte_for_byte() {
    assert_eq!(clean("<m> x\n</m>"), "m{ x\n}");
    assert_eq!(clean("<m>&amp;&lt; > a&b</m>"), "m{&amp;&lt; > a&b}");
    assert_eq!(clean(r"<m>\<b>\\\<</m>"), r"m{\<b>\\\<}");
}

#[test]
fn an_even_number_of_backslashes_does_not_escape() {
    assert_eq!(clean(r"<m>x\\<b>y</b>z</m>"), "m[b{y}]{z}");
}

#[test]
fn text_before_the_last_child_is_lost() {
    assert_eq!(clean("<g>a<r>1</r>b<r/>c</g>"), "g[r{1} r]{c}");
}

#[test]
fn several_roots_and_text_between_them() {
    assert_eq!(clean("junk <a x='1'/> more <b y = \"it's\" >t</b> end"), "a(x=1) b(y=it's){t}");
}

#[test]
fn comments_end_in_two_ways_and_cdata_is_one() {
    assert_eq!(clean("<m>a<!-- <x> -->b<!DOCTYPE a !>c<![CDATA[lost]]-->d</m>"), "m{abcd}");
    assert_eq!(read("<m>a</m><!-- open").1, ["1:9 the comment is never closed"]);
}

#[test]
fn names_of_closing_tags_are_compared_exactly() {
    let (shown, faults) = read("<g><m>a</M></g><h/>");
    assert_eq!(shown, "!g[!m{a}] h");
    assert_eq!(faults, ["1:4 <m> is never closed", "1:8 </M> closes nothing, the open element is <m>"]);
}

#[test]
fn a_forgotten_end_breaks_only_what_it_touches() {
    let (shown, faults) = read("<g>\n <m>a(?<name>b)</m>\n <n>c</n></g>\n<h>ok</h>");
    assert_eq!(shown, "g[!m[!name{b)}] n{c}] h{ok}");
    assert_eq!(faults, ["2:8 <name> is never closed"]);
}

#[test]
fn faults_in_tags_are_told_and_reading_goes_on() {
    let faults = |text| read(text).1;
    assert_eq!(faults("<m a>x</m>"), ["1:4 the attribute a has no value in quotes"]);
    assert_eq!(faults("<m a=1 b='2'>x</m>"), ["1:4 the attribute a has no value in quotes"]);
    assert_eq!(faults("<m a='1' a='2'>x</m>"), ["1:10 <m> has the attribute a twice"]);
    assert_eq!(faults("<m ?>x</m>"), ["1:4 only attributes can stand here in the tag <m>"]);
    assert_eq!(faults("<m>a < b</m>"), ["1:6 a tag begins here, but no name follows"]);
    assert_eq!(faults("<m <n/></m>"), ["1:4 the tag <m> has no >"]);
    assert_eq!(read("<m a='x>y' b='z'>t</m><n/>").0, "!m{t} n");
    assert_eq!(
        faults("<m a='x>y' b='z'>t</m>"),
        ["1:8 the value of the attribute a holds a > or is never closed"]
    );
    assert_eq!(faults("<m a='x>t</m>"), ["1:8 the value of the attribute a holds a > or is never closed"]);
    assert_eq!(faults("<m"), ["1:1 <m> is never closed", "1:3 the tag <m> has no >"]);
    assert_eq!(faults("<m></m"), ["1:1 <m> is never closed", "1:4 the closing tag has no >"]);
}

#[test]
fn the_document_type_line_of_real_xml_is_no_element() {
    assert_eq!(read("<?xml version=\"1.0\"?>\n<g/>").1, ["1:1 a tag begins here, but no name follows"]);
}

#[test]
fn contents_and_values_have_a_limit() {
    let text = |length| format!("<m>{}</m><n a='{}'/>", "x".repeat(length), "y".repeat(length));
    assert_eq!(read(&text(MAX_CONTENT)).1, [] as [String; 0]);
    assert_eq!(read(&text(MAX_CONTENT + 1)).1.len(), 2);
}

#[test]
fn nesting_has_a_limit() {
    assert_eq!(read(&("<a>".repeat(MAX_DEPTH) + &"</a>".repeat(MAX_DEPTH))).1, [] as [String; 0]);
    let (_, faults) = read(&"<a>".repeat(100_000));
    assert_eq!(faults, [format!("1:{} more than 1024 elements stand inside each other", MAX_DEPTH * 3 + 1)]);
}

#[test]
fn the_number_of_elements_has_a_limit() {
    let (_, faults) = read(&"<a/>".repeat(MAX_ELEMENTS + 1));
    assert_eq!(faults, [format!("1:{} the file has more than 500000 elements", MAX_ELEMENTS * 4 + 1)]);
}

#[test]
fn the_number_of_attributes_has_a_limit() {
    let text = |count: usize| {
        let attributes: String = (0..count).map(|number| format!(" a{number:05}='1'")).collect();
        format!("<m{attributes}>x</m><n/>")
    };
    assert_eq!(read(&text(MAX_ATTRIBUTES)).1, [] as [String; 0]);
    let (shown, faults) = read(&text(100_000));
    assert!(shown.starts_with("!m(a00000=1)") && shown.ends_with("{x} n"), "{}", shown.len());
    assert_eq!(faults, [format!("1:{} <m> has more than 64 attributes", 4 + MAX_ATTRIBUTES * 11)]);
}

#[test]
fn a_file_of_faults_ends_early() {
    let (_, faults) = read(&"</x>\n".repeat(1_000_000));
    assert!(faults.len() < 1000, "{}", faults.len());
    assert!(faults.last().unwrap().contains("are not shown"));
}

#[test]
fn variables_are_put_in_after_their_definition() {
    let text = "<a x='$V'>$V.</a><var name=\"v\">one</var><a x='$V-'>p$v|$V.x$</a><b>$(f) $V</b><c>$V</c>";
    let (shown, faults) = read(text);
    assert_eq!(shown, "a(x=$V){$V.} var(name=v){one} !a(x=){pone|one.x$} b{$(f) one} c{$V}");
    assert_eq!(faults, ["1:47 the variable V- is not defined before this place"]);
}

#[test]
fn an_unknown_variable_names_the_nearest_one() {
    let text = "<var name=\"SERVERS\">x</var><m>a(foo$)</m><m>$SERVRES</m>";
    let source = Source::new(&Arc::from("f"), text.as_bytes()).unwrap();
    let mut faults = Faults::new(&source, crate::wazuh::Origin::User);
    let mut roots = parse(&source, &mut faults);
    variables::apply(&mut roots, &mut faults);
    let faults = faults.into_diagnostics();
    assert_eq!(faults.len(), 2);
    assert_eq!((faults[0].place.column, faults[0].text.as_str()), (36, "$)"));
    assert_eq!(faults[1].help, "did you mean $servers?");
}

#[test]
fn variables_cannot_fill_the_memory() {
    let bomb =
        format!("<var name='a'>{}</var>{}", "x".repeat(MAX_CONTENT), "<m>$a|$a|$a</m>".repeat(100_000));
    let (_, faults) = read(&bomb);
    assert!(faults[0].contains("with its variables the text is too long"), "{:?}", faults[0]);
}

#[test]
fn columns_count_characters_also_far_along_a_line() {
    let text = format!("ü\n<m>{}</m></x>", "ü".repeat(5000));
    assert_eq!(read(&text).1, ["2:5008 </x> closes nothing"]);
}

#[test]
fn no_text_makes_the_reader_panic() {
    let pieces =
        ["<", ">", "</", "a", "=", "'", "\"", "!", "--", "\\", " ", "ü", "$", "<var name='a'>b</var>", "/>"];
    let mut state = 1_u32;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(pieces[(state >> 16) as usize % pieces.len()]);
        }
        read(&text);
    }
}
