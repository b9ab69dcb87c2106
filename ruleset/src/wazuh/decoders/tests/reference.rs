//! The reference's own decoders and homes, where a copy of them is at hand: they load, and nothing of them is lost.

use super::*;

/// The files of a folder of the reference's homes, in load order.
fn folder(path: &std::path::Path) -> Vec<RuleText> {
    let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| RuleText {
        path: path.file_name().unwrap().to_str().unwrap().into(),
        text: std::fs::read(path).unwrap(),
        origin: Origin::Home,
    };
    files.iter().map(read).collect()
}

fn chains(tree: &DecoderTree) -> (usize, usize) {
    // Runs of siblings of one name below one root, by root and name; counted once for each parent's name.
    let mut sizes = std::collections::BTreeMap::new();
    for decoder in tree.decoders.iter().filter(|decoder| decoder.parent.is_some()) {
        *sizes.entry((decoder.parent.clone(), decoder.own_name.clone())).or_insert(0) += 1;
    }
    let long = sizes.values().filter(|size| **size > 1);
    (long.clone().count(), long.max().copied().unwrap_or_default())
}

#[test]
fn the_references_decoders_load() {
    let Some(compat) = compat() else { return };
    let loaded = load_decoders(&folder(&compat.join("homes/stock/ruleset/decoders")));
    let tree = loaded.tree;
    let errors: Vec<String> =
        shown(&loaded.diagnostics).into_iter().filter(|line| line.contains(" error: ")).collect();
    assert_eq!(errors, Vec::<String>::new());
    println!("{} warnings: {:#?}", loaded.diagnostics.len(), shown(&loaded.diagnostics));
    let count =
        |test: &dyn Fn(&Decoder) -> bool| tree.decoders.iter().filter(|decoder| test(decoder)).count();
    assert_eq!(tree.decoders.len(), 1575);
    assert_eq!((tree.with_program.len(), tree.without_program.len()), (109, 208 - 109));
    let mut roots: Vec<&str> = tree
        .with_program
        .iter()
        .chain(&tree.without_program)
        .map(|root| tree.decoders[*root as usize].name.as_str())
        .collect();
    roots.sort_unstable();
    roots.dedup();
    assert_eq!(roots.len(), 171);
    assert_eq!(tree.decoders.iter().map(|decoder| decoder.order.len()).max(), Some(63));
    assert_eq!(count(&|decoder| decoder.plugin.is_some()), 11);
    assert_eq!(count(&|decoder| matches!(decoder.plugin, Some((Plugin::Json, _)))), 6);
    let at = |offset: Offset| count(&|decoder| decoder.plugin.is_some_and(|(_, at)| at == offset));
    assert_eq!((at(Offset::AfterPrematch), at(Offset::AfterParent)), (2, 2));
    let at = |offset: Offset| count(&|decoder| decoder.regex.as_ref().is_some_and(|(_, at)| *at == offset));
    assert_eq!(at(Offset::AfterRegex), 155);
    assert_eq!(at(Offset::AfterParent) + at(Offset::AfterPrematch), 238 + 135);
    assert_eq!(
        count(&|decoder| decoder.prematch.as_ref().is_some_and(|(_, at)| *at == Offset::AfterParent)),
        178
    );
    assert_eq!(count(&|decoder| !decoder.fts.is_empty()), 22);
    assert_eq!(count(&|decoder| decoder.fts_comment.is_some()), 4);
    assert_eq!(count(&|decoder| decoder.accumulate), 5);
    assert_eq!(count(&|decoder| decoder.discard_null), 1);
    assert_eq!(count(&|decoder| decoder.category == Some(Category::Windows)), 49);
    assert_eq!(count(&|decoder| decoder.parent.as_ref().is_some_and(|parent| *parent != decoder.name)), 9);
    assert_eq!(chains(&tree), (83, 134));
}

#[test]
fn the_references_homes_load_with_all_names_that_their_rules_use() {
    let Some(compat) = compat() else { return };
    let stock = folder(&compat.join("homes/stock/ruleset/decoders")).len();
    for (home, files, decoders) in [("homes/stock", 120, 1575), ("homes/test", 127, 1575 + 60)] {
        let home = compat.join(home);
        let text = std::fs::read(home.join("etc/ossec.conf")).unwrap();
        let (set, faults) = home::Ruleset::read(&"etc/ossec.conf".into(), &text);
        assert_eq!(shown(&faults), Vec::<String>::new());
        let mut texts = Texts::default();
        for at in &set.decoder_folders {
            texts
                .decoders
                .extend(folder(&home.join(&at.path)).into_iter().filter(|file| at.takes(&file.path)));
        }
        texts.decoders.sort_by(|a, b| a.path.cmp(&b.path));
        for name in set.lists.as_deref().unwrap() {
            let text = std::fs::read(home.join(name)).unwrap();
            texts.lists.push(ListText { name: name.as_str().into(), path: name.as_str().into(), text });
        }
        let own = texts.decoders.iter().filter(|file| &*file.path == "local_decoder.xml").count();
        assert_eq!((texts.decoders.len() - own, own), (files, 1), "{stock}");
        let loaded = load_set(&texts);
        assert_eq!(shown(&loaded.diagnostics).iter().filter(|line| line.contains(" error: ")).count(), 0);
        println!("{:#?}", shown(&loaded.diagnostics));
        let local =
            loaded.set.decoders.decoders.iter().filter(|decoder| &*decoder.place.file == "local_decoder.xml");
        assert_eq!(loaded.set.decoders.decoders.len() - local.count(), decoders);
        assert_eq!(loaded.set.lists.len(), 6);
        let sizes: Vec<usize> = loaded.set.lists.iter().map(|list| list.entries.len()).collect();
        assert_eq!(sizes[0], 5, "{sizes:?}");
        // Every decoder that the stock rules name is there.
        let known = loaded.set.decoders.names();
        let mut named = 0;
        for file in folder(&home.join("ruleset/rules")) {
            let text = String::from_utf8(file.text).unwrap();
            for part in text.split("<decoded_as>").skip(1) {
                let name = part.split('<').next().unwrap();
                assert!(known.contains(&name), "{name} in {}", file.path);
                named += 1;
            }
        }
        assert!(named >= 233, "{named}");
    }
}
