//! ISIC 2019 as it is downloaded, and what is said of a broken table.

use super::*;

const TRUTH: &str = "ISIC_2019_Training_GroundTruth.csv";

const HEADER: &str = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK";

/// An ISIC folder with two images a class, and this text of the truth.
fn isic(edit: impl Fn(String) -> String) -> TempDir {
    let mut text = format!("{HEADER}\n");
    let mut files = vec!["ISIC_2019_Training_Input/LICENSE.txt".to_owned()];
    for i in 0..16 {
        let hot: Vec<_> = (0..9)
            .map(|c| if c == i / 2 { "1.0" } else { "0.0" })
            .collect();
        text += &format!("ISIC_{i:02},{}\n", hot.join(","));
        files.push(format!("ISIC_2019_Training_Input/ISIC_{i:02}.jpg"));
    }
    let text = edit(text);
    let mut files: Vec<_> = files.iter().map(|f| (f.as_str(), None)).collect();
    files.push((TRUTH, Some(text.as_str())));
    layout(&files)
}

#[test]
fn isic2019_is_read_as_it_is_downloaded() {
    let parent = tempfile::tempdir().unwrap();
    fs::rename(isic(|text| text).keep(), parent.path().join("isic2019")).unwrap();
    let dataset = open("isic2019", parent.path(), false).unwrap();
    assert_eq!((dataset.len(), dataset.task), (16, Task::MultiClass));
    assert_eq!(dataset.classes.join(","), "MEL,NV,BCC,AK,BKL,DF,VASC,SCC");
    assert_eq!(
        names(&dataset)[3],
        "ISIC_2019_Training_Input/ISIC_03.jpg NV"
    );
    assert!(
        dataset
            .samples
            .iter()
            .all(|s| s.part.is_none() && s.group.is_none())
    );
    // What spreadsheets do to it changes nothing.
    let spreadsheet = isic(|text| {
        format!(
            "\u{feff}{}",
            text.replace("ISIC_04", "\"ISIC_04\"").replace('\n', "\r\n")
        )
    });
    let again = open("isic2019", spreadsheet.path(), false).unwrap();
    assert_eq!(names(&again), names(&dataset));
}

#[test]
fn isic2019_groups_by_lesion() {
    let folder = isic(|text| text);
    let mut metadata = "image,age_approx,anatom_site_general,lesion_id,sex\n".to_owned();
    for i in 0..15 {
        metadata += &format!("ISIC_{i:02},55,\"torso, front\",L{},female\n", i / 2 % 4);
    }
    metadata += "ISIC_15,,,,\n";
    fs::write(
        folder.path().join("ISIC_2019_Training_Metadata.csv"),
        metadata,
    )
    .unwrap();
    let dataset = open("isic2019", folder.path(), false).unwrap();
    assert_eq!(dataset.samples[9].group.as_deref(), Some("L0"));
    assert_eq!(dataset.samples[15].group, None);
}

#[test]
fn a_wrong_row_is_named_by_line_column_and_value() {
    type Edit = (&'static str, &'static str);
    let cases: [(Edit, &str); 7] = [
        (
            ("ISIC_01,1.0", "ISIC_01,2.0"),
            "line 3, column MEL: \"2.0\", expected 0 or 1",
        ),
        (
            ("ISIC_01,1.0", "ISIC_01,"),
            "line 3, column MEL: \"\", expected 0 or 1",
        ),
        (("ISIC_01,1.0", "ISIC_01,0.0"), "sum to 0, expected 1"),
        (
            ("ISIC_01,1.0,0.0", "ISIC_01,1.0,1.0"),
            "line 3: columns MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK: they sum to 2, expected 1",
        ),
        (
            ("ISIC_01,1.0,0.0", "ISIC_01,1.0"),
            "line 3: 9 fields, expected 10",
        ),
        (
            ("ISIC_01,", "ISIC_00,"),
            "line 3, column image: \"ISIC_00\", expected one row each (it is on line 2, too)",
        ),
        (
            ("ISIC_01,", "ISIC_99,"),
            "line 3, column image: \"ISIC_99\", expected the name of an image that is there",
        ),
    ];
    for ((from, to), said) in cases {
        let folder = isic(|text| text.replace(from, to));
        fails(
            "isic2019",
            folder.path(),
            false,
            &[TRUTH, said, "1 of 16 images"],
        );
        let dataset = open("isic2019", folder.path(), true).unwrap();
        assert_eq!((dataset.len(), dataset.skipped.len()), (15, 1), "{said}");
        assert!(
            dataset.skipped[0].reason.contains(said),
            "{:?}",
            dataset.skipped
        );
    }
}

#[test]
fn a_wrong_header_is_named() {
    for (from, to, said) in [
        (HEADER, "image,MEL,NV", "expected a column BCC"),
        ("image,", "name,", "expected a column image"),
        ("UNK", "UNK,XYZ", "column XYZ: unknown, expected image, MEL"),
        (
            "NV",
            "MEL",
            "line 1, column 3: \"MEL\", expected a name of its own",
        ),
    ] {
        let folder = isic(|text| text.replace(from, to));
        fails("isic2019", folder.path(), true, &[TRUTH, "line 1", said]);
    }
    let empty = isic(|_| String::new());
    fails(
        "isic2019",
        empty.path(),
        true,
        &[TRUTH, "it is empty, expected a header line"],
    );
    let folder = isic(|text| text);
    let mut bytes = fs::read(folder.path().join(TRUTH)).unwrap();
    let place = bytes.windows(7).position(|w| w == b"ISIC_03").unwrap();
    bytes[place] = 0xff;
    fs::write(folder.path().join(TRUTH), bytes).unwrap();
    fails(
        "isic2019",
        folder.path(),
        false,
        &["line 5: it is not UTF-8"],
    );
}
