//! Tables as people have them: each rule with several members of its kind.

use super::*;
use cass_data::source::{Blank, Choices, Column, Source, Uncertain};

fn images(names: &[&str], table: &str) -> TempDir {
    let mut files: Vec<(&str, Option<&str>)> = names.iter().map(|name| (*name, None)).collect();
    files.push(("all.csv", Some(table)));
    layout(&files)
}

fn chosen(folder: &Path, choices: Choices) -> cass_data::Result<Dataset> {
    let layout = Layout {
        choices,
        ..Layout::new("csv", folder)
    };
    Dataset::open(&layout, &OpenOptions::default())
}

fn read(folder: &TempDir) -> Dataset {
    chosen(folder.path(), Choices::default()).unwrap()
}

#[track_caller]
fn refuses(folder: &Path, choices: Choices, said: &[&str]) {
    let error = chosen(folder, choices).map(|d| names(&d)).unwrap_err();
    let error = error.to_string();
    assert!(!error.contains('\n'), "{error}");
    for part in said {
        assert!(error.contains(part), "{error:?} does not say {part:?}");
    }
}

const TWO: [&str; 2] = ["1.png", "2.png"];

#[test]
fn separators_decimal_commas_and_index_columns() {
    for text in [
        "image,u,v\n1.png,1,0\n2.png,1,1\n",
        "image;u;v\n1.png;1,0;0,0\n2.png;1,0;1,0\n",
        "image\tu\tv\n1.png\t1.0\t0.0\n2.png\t1.0\t1.0\n",
        ",image,u,v\n0,1.png,1,0\n1,2.png,1,1\n",
        "Unnamed: 0,image,u,v\n0,1.png,1,0\n1,2.png,1,1\n",
        "image,u,v\r\n1.png,1,0\r\n2.png,1,1\r\n",
        "\u{feff}\"image\";\"u\";\"v\"\r\n\"1.png\";1;0\r\n\"2.png\";1;1",
    ] {
        let dataset = read(&images(&TWO, text));
        assert_eq!(names(&dataset), ["1.png u", "2.png u+v"], "{text:?}");
    }
}

#[test]
fn columns_are_known_by_many_names_or_named_by_the_user() {
    for header in [
        "image_id,dx",
        "isic_id,diagnosis",
        "id_code,diagnosis",
        "image_name,target",
        "Image Index,Finding Labels",
        "filename,class",
        "FileName;Label",
    ] {
        let text = format!("{header}\n1.png,x\n2.png,y\n");
        let separator = if header.contains(';') { ";" } else { "," };
        let dataset = read(&images(&TWO, &text.replace(',', separator)));
        assert_eq!(names(&dataset), ["1.png x", "2.png y"], "{header}");
    }
    let odd = images(
        &TWO,
        "scan,who,finding,fold\n1.png,p,x,train\n2.png,q,x,test\n",
    );
    refuses(
        odd.path(),
        Choices::default(),
        &["line 1", "--columns path=NAME"],
    );
    let columns = [
        (Column::Path, "scan"),
        (Column::Label, "finding"),
        (Column::Group, "who"),
        (Column::Split, "fold"),
    ];
    let columns = columns
        .map(|(column, name)| (column, name.to_owned()))
        .into();
    let choices = Choices {
        columns,
        ..Choices::default()
    };
    let dataset = chosen(odd.path(), choices).unwrap();
    assert_eq!(names(&dataset), ["1.png x", "2.png x"]);
    assert_eq!(dataset.samples[1].group.as_deref(), Some("q"));
    assert_eq!(dataset.samples[1].part, Some(Part::Test));
    assert_eq!(
        dataset.notes[0],
        "all.csv: path = scan; label = finding; split = fold; group = who"
    );
    let choices = Choices {
        columns: [(Column::Group, "mrn".to_owned())].into(),
        ..Choices::default()
    };
    let odd = images(&TWO, "path,scan\n1.png,0\n2.png,1\n");
    refuses(
        odd.path(),
        choices,
        &["no column \"mrn\" to be group", "path, scan"],
    );
}

#[test]
fn patients_are_known_by_many_names() {
    for name in [
        "PatientID",
        "Patient ID",
        "patient_id",
        "subject",
        "case_id",
        "mrn",
        "MRN",
        "lesion_id",
        "StudyID",
        "Subject-ID",
    ] {
        let text = format!("path,label,{name},site\n1.png,x,7,a\n2.png,y,8,b\n");
        let dataset = read(&images(&TWO, &text));
        assert_eq!(dataset.samples[1].group.as_deref(), Some("8"), "{name}");
        let note = format!("all.csv: path = path; label = label; group = {name}; ignored: site");
        assert_eq!(dataset.notes[0], note);
    }
}

#[test]
fn marks_beside_other_columns_have_to_be_named() {
    let text = "image,u,v,age,sex\n1.png,1,0,55,f\n2.png,1,1,60,m\n";
    let folder = images(&TWO, text);
    refuses(
        folder.path(),
        Choices::default(),
        &[
            "all.csv: columns u, v, age, sex were taken for classes",
            "age on line 2 is \"55\"",
            "--labels u,v",
        ],
    );
    let labels = |names: &[&str]| Choices {
        labels: names.iter().map(|n| n.to_string()).collect(),
        ..Choices::default()
    };
    let dataset = chosen(folder.path(), labels(&["u", "v"])).unwrap();
    assert_eq!(names(&dataset), ["1.png u", "2.png u+v"]);
    assert!(dataset.notes[0].ends_with("ignored: age, sex"));
    let dataset = chosen(folder.path(), labels(&["none"])).unwrap();
    assert!(!dataset.is_labelled() && dataset.len() == 2);
    let dataset = chosen(folder.path(), labels(&["sex"])).unwrap();
    assert_eq!(names(&dataset), ["1.png f", "2.png m"]);
    refuses(
        folder.path(),
        labels(&["u", "w"]),
        &["no column \"w\" to be a class"],
    );
    // A 0/1 column that is no class by its name.
    let folder = images(&TWO, "image,u,v,sex\n1.png,1,0,1\n2.png,1,1,0\n");
    refuses(folder.path(), Choices::default(), &["sex", "--labels u,v"]);
    // Other columns alone are no labels, and no matter to a pretraining.
    let dataset = read(&images(&TWO, "image,age,site\n1.png,55,a\n2.png,60,b\n"));
    assert!(!dataset.is_labelled());
    assert!(
        dataset.notes[0]
            .contains("path = image; ignored: age, site (none is known to name classes: --columns")
    );
}

#[test]
fn paths_in_all_their_spellings() {
    let names_of = ["x/1.png", "x/2.JPG", "y/3.jpeg"];
    for (table, want) in [
        ("path,label\nx\\1.png,a\nx/2.JPG,b\n", 2),
        ("path,label\nx/1,a\nx/2,b\ny/3,a\n", 3),
        ("image_id,label\n1,a\n2,b\n3,a\n", 3),
        ("image_id,label\n1.png,a\n3.jpeg,b\n", 2),
    ] {
        assert_eq!(read(&images(&names_of, table)).len(), want, "{table:?}");
    }
    // Relative to the folder above, as CheXpert's.
    let folder = layout(&[
        ("v1/train/p1.png", None),
        ("v1/train.csv", Some("Path,Label\nv1/train/p1.png,x\n")),
        ("v1/test.csv", Some("Path,Label\nv1/test/p2.png,x\n")),
        ("v1/test/p2.png", None),
    ]);
    let dataset = open("csv", &folder.path().join("v1"), false).unwrap();
    assert_eq!(names(&dataset), ["test/p2.png x", "train/p1.png x"]);
    assert_eq!(dataset.samples[0].part, Some(Part::Test));
    assert_eq!(dataset.samples[1].part, Some(Part::Train));
    // What the one table names is no stray of the other.
    let beside = layout(&[
        ("1.png", None),
        ("2.png", None),
        ("3.png", None),
        ("train.csv", Some("path,label\n1,x\n")),
        ("test.csv", Some("path,label\n2,x\n")),
    ]);
    let found = Layout::new("csv", beside.path()).find().unwrap();
    let [stray] = &found.problems[..] else {
        panic!("{:?}", found.problems)
    };
    assert!(stray.path.ends_with("3.png"));
    assert_eq!(stray.detail, "has no row in train.csv or test.csv");
    // Absolute and relative in one table.
    let folder = images(&TWO, "");
    let absolute = folder.path().join("1.png");
    let text = format!("path,label\n{},x\n2.png,y\n", absolute.display());
    fs::write(folder.path().join("all.csv"), text).unwrap();
    assert_eq!(names(&read(&folder)), ["1.png x", "2.png y"]);
}

#[test]
fn several_image_folders_and_names_that_two_files_have() {
    let table = "image_id,dx\n1,x\n2,y\n";
    let folder = layout(&[
        ("meta/all.csv", Some(table)),
        ("part_1/1.png", None),
        ("part_2/2.png", None),
    ]);
    let root = folder.path();
    let images = |names: &[&str]| Choices {
        images: names.iter().map(|name| root.join(name)).collect(),
        ..Choices::default()
    };
    let meta = root.join("meta");
    refuses(
        &meta,
        images(&["part_2", "meta"]),
        &["line 2, column image_id: \"1\""],
    );
    let dataset = chosen(&meta, images(&["part_1", "part_2"])).unwrap();
    assert_eq!(dataset.len(), 2);
    refuses(
        &meta,
        Choices::default(),
        &["none of its 2 images is there, such as \"1\"", "looked in"],
    );
    let twice = layout(&[
        ("all.csv", Some(table)),
        ("a/1.png", None),
        ("masks/1.png", None),
        ("a/2.png", None),
    ]);
    refuses(
        twice.path(),
        Choices::default(),
        &["a/1.png and", "masks/1.png have it"],
    );
    let exclude = Choices {
        exclude: vec!["masks".into()],
        ..Choices::default()
    };
    assert_eq!(chosen(twice.path(), exclude).unwrap().len(), 2);
}

#[test]
fn a_table_without_a_single_file_is_one_line_with_a_guess() {
    let rows: String = (0..812)
        .map(|i| format!("/kaggle/input/set/{i}.png,x\n"))
        .collect();
    let text = format!("path,label\n{rows}");
    let folder = layout(&[
        ("set/7.png", None),
        ("set/0.png", None),
        ("all.csv", Some(&text)),
    ]);
    let root = folder.path().canonicalize().unwrap();
    let guess = format!("is it --images {}, where", root.display());
    let said = [
        "none of its 812 images is there",
        "/kaggle/input/set/0.png",
        &guess,
    ];
    refuses(folder.path(), Choices::default(), &said);
    let choices = Choices {
        images: vec![root],
        ..Choices::default()
    };
    refuses(folder.path(), choices, &["810 of 812 images"]);
    // One that is there leaves a problem a row.
    let some = images(&TWO, "path,label\n1.png,x\n3.png,y\n");
    refuses(
        some.path(),
        Choices::default(),
        &["1 of 2 images", "line 3, column path"],
    );
}

#[test]
fn what_is_empty_is_no_label() {
    for nothing in ["", "NaN", "nan", "NA", "N/A", "NULL", "None", "<NA>"] {
        let text = format!("path,label\n1.png,x\n2.png,{nothing}\n");
        let dataset = read(&images(&TWO, &text));
        assert_eq!(dataset.classes, ["x"], "{nothing}");
        assert!(dataset.samples[0].labelled && !dataset.samples[1].labelled);
        assert!(dataset.notes[1].contains("1 of 2 images have no label"));
    }
    let text = "path,split,label\n1.png,train,x\n2.png,,\n";
    assert_eq!(read(&images(&TWO, text)).samples[1].part, None);
    let marks = read(&images(&TWO, "path,u,v\n1.png,1,1\n2.png,,\n"));
    assert!(!marks.samples[1].labelled);
}

#[test]
fn uncertain_and_empty_marks_are_what_the_user_says() {
    let text = "Path,Edema,Fracture\n1.png,1.0,-1.0\n2.png,,0.0\n3.png,-1.0,1.0\n";
    let folder = images(&["1.png", "2.png", "3.png"], text);
    let said = ["line 2 and 1 more have labels of -1, expected --uncertain zero, one or ignore"];
    refuses(folder.path(), Choices::default(), &said);
    let with = |uncertain, blank| {
        let choices = Choices {
            uncertain: Some(uncertain),
            blank,
            ..Choices::default()
        };
        let dataset = chosen(folder.path(), choices).unwrap();
        assert_eq!(dataset.task, Task::MultiLabel);
        let unknown = dataset
            .samples
            .iter()
            .map(|s| s.unknown.clone())
            .collect::<Vec<_>>();
        (names(&dataset), unknown)
    };
    let (zero, unknown) = with(Uncertain::Zero, None);
    assert_eq!(zero, ["1.png Edema", "2.png ", "3.png Fracture"]);
    assert_eq!(unknown, [vec![], vec![0], vec![]]);
    let (one, _) = with(Uncertain::One, Some(Blank::Zero));
    assert_eq!(
        one,
        ["1.png Edema+Fracture", "2.png ", "3.png Edema+Fracture"]
    );
    let (ignore, unknown) = with(Uncertain::Ignore, Some(Blank::Zero));
    assert_eq!(ignore, zero);
    assert_eq!(unknown, [vec![1], vec![], vec![0]]);
}

#[test]
fn one_mark_a_row_is_one_class_each() {
    let three = ["1.png", "2.png", "3.png"];
    let dataset = read(&images(
        &three,
        "image,u,v\n1.png,1,0\n2.png,0.0,1.0\n3.png,1,0\n",
    ));
    assert_eq!(
        (dataset.task, dataset.classes.join(",")),
        (Task::MultiClass, "u,v".into())
    );
    assert!(
        dataset
            .notes
            .iter()
            .any(|note| note.contains("exactly one 1"))
    );
    // Not where a single row has none or two.
    for row in ["3.png,0,0", "3.png,1,1"] {
        let text = format!("image,u,v\n1.png,1,0\n2.png,0,1\n{row}\n");
        assert_eq!(read(&images(&three, &text)).task, Task::MultiLabel);
    }
}

#[test]
fn several_labels_in_a_field() {
    for (text, note) in [
        ("path,labels\n1.png,a|b\n2.png,b\n", "| or ;"),
        ("path,labels\n1.png,a; b\n2.png,b\n", "| or ;"),
        ("path,labels\n1.png,\"a, b\"\n2.png,b\n", ", is between"),
        ("path,label\n1.png,a|b\n2.png,b\n", "| or ;"),
        ("Image Index,Finding Labels\n1.png,a|b\n2.png,b\n", "| or ;"),
    ] {
        let dataset = read(&images(&TWO, text));
        assert_eq!(names(&dataset), ["1.png a+b", "2.png b"], "{text:?}");
        assert!(
            dataset.notes.iter().any(|n| n.contains(note)),
            "{:?}",
            dataset.notes
        );
    }
}

#[test]
fn numbers_are_classes_in_their_order() {
    let many: Vec<String> = (0..12).map(|i| format!("{i}.png")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let rows = |form: fn(usize) -> String| -> String {
        (0..12).map(|i| format!("{i}.png,{}\n", form(i))).collect()
    };
    for rows in [rows(|i| i.to_string()), rows(|i| format!("{i}.0"))] {
        let dataset = read(&images(&many, &format!("path,label\n{rows}")));
        assert_eq!(dataset.classes.join(","), "0,1,2,3,4,5,6,7,8,9,10,11");
    }
}

#[test]
fn line_numbers_are_right_under_every_line_end() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["path,label", "1.png,x", "", "\"2.png\",y", "9.png,y", ""].join(end);
        refuses(
            images(&TWO, &text).path(),
            Choices::default(),
            &["line 5, column path: \"9.png\""],
        );
    }
}

#[test]
fn a_table_of_paths_alone_is_of_images_without_labels() {
    let dataset = read(&images(&TWO, "path\n1.png\n2.png\n"));
    assert!(!dataset.is_labelled() && dataset.classes.is_empty());
    let split = dataset.split(0, 0.1);
    assert_eq!(
        [split.train.len(), split.val.len(), split.test.len()],
        [2, 0, 0]
    );
    let split = dataset.split_by(0, 0.1, Some(0.5));
    assert_eq!(split.train.len() + split.val.len(), 1);
    assert_eq!(split.test.len(), 1);
}

#[test]
fn images_that_no_row_names_are_found() {
    let folder = images(
        &["x/1.png", "x/2.png", "other/3.png"],
        "path,label\nx/1.png,a\n",
    );
    let found = Layout::new("csv", folder.path()).find().unwrap();
    let [problem] = &found.problems[..] else {
        panic!("{:?}", found.problems)
    };
    assert!(problem.path.ends_with("x/2.png"));
    assert_eq!(problem.detail, "has no row in all.csv");
}
