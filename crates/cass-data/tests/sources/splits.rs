//! Parts, shares of the labels and the manifest.

use super::*;

pub fn assert_disjoint(dataset: &Dataset, split: &Split) {
    let parts = [&split.train, &split.val, &split.test];
    let mut all: Vec<_> = parts.into_iter().flatten().copied().collect();
    all.sort_unstable();
    assert_eq!(all, (0..dataset.len()).collect::<Vec<_>>());
}

pub fn assert_groups_whole(dataset: &Dataset, split: &Split) {
    let groups = |part: &[usize]| -> BTreeSet<_> {
        part.iter()
            .filter_map(|&i| dataset.samples[i].group.clone())
            .collect()
    };
    let [train, val, test] = [&split.train, &split.val, &split.test].map(|p| groups(p));
    assert!(train.is_disjoint(&val) && train.is_disjoint(&test) && val.is_disjoint(&test));
}

/// 300 images with up to three of four labels of very unequal frequency; `per_group` to a patient.
fn many(labels: &str, per_group: usize) -> TempDir {
    let rows: Vec<String> = (0..300)
        .map(|i| {
            let mut names = vec!["a"];
            names.extend((i % 3 == 0).then_some("b"));
            names.extend((i % 10 == 4).then_some("c"));
            names.extend((i % 50 == 7).then_some("d"));
            let name = if labels == "label" {
                names[names.len() - 1].to_owned()
            } else {
                names.join("|")
            };
            format!("i{i:03}.png,{name},p{}", i / per_group)
        })
        .collect();
    let text = format!("path,{labels},group\n{}\n", rows.join("\n"));
    let files: Vec<String> = (0..300).map(|i| format!("i{i:03}.png")).collect();
    let mut files: Vec<_> = files.iter().map(|f| (f.as_str(), None)).collect();
    files.push(("t.csv", Some(text.as_str())));
    layout(&files)
}

fn count(dataset: &Dataset, part: &[usize], label: usize) -> f64 {
    let has = part
        .iter()
        .filter(|&&i| dataset.samples[i].labels.contains(&label));
    has.count() as f64
}

/// `--split 70/10/20`.
#[test]
fn the_three_shares_are_those_that_were_asked_for() {
    let folder = many("label", 3);
    let dataset = open("csv", folder.path(), false).unwrap();
    for (val, test) in [(0.1, 0.2), (0.0, 0.5), (0.3, 0.0)] {
        let split = dataset.split_by(5, val, Some(test));
        assert_disjoint(&dataset, &split);
        assert_groups_whole(&dataset, &split);
        for (part, share) in [(&split.val, val), (&split.test, test)] {
            let found = part.len() as f64 / 300.0;
            assert!((found - share).abs() < 0.05, "{found} of {share}");
            assert!(share > 0.0 || part.is_empty());
        }
    }
}

#[test]
fn iterative_stratification_keeps_every_share() {
    let folder = many("labels", 1);
    let dataset = open("csv", folder.path(), false).unwrap();
    let split = dataset.split(5, 0.1);
    assert_disjoint(&dataset, &split);
    assert_eq!(split, dataset.split(5, 0.1));
    assert_ne!(split, dataset.split(6, 0.1));
    let all: Vec<_> = (0..300).collect();
    for label in 0..4 {
        for (part, share) in [(&split.train, 0.8), (&split.val, 0.1), (&split.test, 0.1)] {
            let (got, want) = (
                count(&dataset, part, label),
                share * count(&dataset, &all, label),
            );
            assert!(
                (got - want).abs() <= 1.0,
                "label {label}: {got}, wanted {want}"
            );
        }
    }
    assert_eq!(
        &split.val[..4],
        [19, 25, 27, 34],
        "seeded results would move"
    );
}

#[test]
fn grouped_splits_divide_no_patient() {
    for labels in ["label", "labels"] {
        let folder = many(labels, 4);
        let dataset = open("csv", folder.path(), false).unwrap();
        let split = dataset.split(5, 0.1);
        assert_disjoint(&dataset, &split);
        assert_groups_whole(&dataset, &split);
        for (part, want) in [(&split.train, 240), (&split.val, 30), (&split.test, 30)] {
            assert!(part.len().abs_diff(want) <= 15, "{} of {want}", part.len());
            for label in 0..4 {
                assert!(count(&dataset, part, label) >= 1.0, "{labels}: no {label}");
            }
        }
    }
}

#[test]
fn multi_label_fractions_are_nested_and_have_every_class() {
    let folder = many("labels", 1);
    let dataset = open("csv", folder.path(), false).unwrap();
    let train = dataset.split(5, 0.1).train;
    let [few, some, most, all] = [0.0, 0.1, 0.5, 1.0].map(|f| fraction(&dataset, &train, f, 9));
    assert_eq!(all, train);
    for (small, large) in [(&few, &some), (&some, &most)] {
        let large: BTreeSet<_> = large.iter().collect();
        assert!(small.iter().all(|i| large.contains(i)));
    }
    assert!(few.len() <= 4);
    assert_eq!((some.len(), most.len()), (24, 120));
    for label in 0..4 {
        assert!(count(&dataset, &few, label) >= 1.0);
        let want = 0.5 * count(&dataset, &train, label);
        let got = count(&dataset, &most, label);
        assert!(
            (got - want).abs() <= 2.0,
            "label {label}: {got}, wanted {want}"
        );
    }
}

#[test]
fn a_manifest_comes_back_as_it_was_written() {
    let folder = layout(&[
        ("1.png", None),
        ("2.png", None),
        ("t.csv", Some("path,labels\n1.png,\"b,\\c|a\td\"\n2.png,\n")),
    ]);
    let dataset = open("csv", folder.path(), false).unwrap();
    let split = Split {
        train: vec![0],
        val: vec![1],
        test: vec![],
    };
    let manifest = dataset.manifest(&split);
    assert_eq!(manifest.rows[0].labels, ["a\td", "b,\\c"]);
    assert_eq!(manifest.rows[1].labels, [""; 0]);
    let file = folder.path().join("manifest.tsv");
    manifest.write(&file).unwrap();
    let read = Manifest::read(&file).unwrap();
    assert_eq!(read, manifest);
    assert_eq!(read.hash(), dataset.manifest(&split).hash());
    let text = manifest.to_text();
    for (from, to, said) in [
        (
            "\ttrain\t",
            "\ttrian\t",
            "column 3: \"trian\", expected train, val or test",
        ),
        ("\ttrain\t", "\t", "3 fields"),
        ("1.png\t", "1.png\tx", "64 hexadecimal digits"),
    ] {
        let error = Manifest::parse(&file, &text.replace(from, to))
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 1") && error.contains(said), "{error}");
    }
}
