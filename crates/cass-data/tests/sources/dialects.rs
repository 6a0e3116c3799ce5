//! Tables as spreadsheets, other systems and other people's scripts write them.

use super::*;
use cass_data::source::Choices;

fn table_of(names: &[&str], table: &[u8]) -> TempDir {
    let files: Vec<_> = names.iter().map(|name| (*name, None)).collect();
    let folder = layout(&files);
    fs::write(folder.path().join("all.csv"), table).unwrap();
    folder
}

fn read(folder: &TempDir) -> Dataset {
    open("csv", folder.path(), false).unwrap()
}

const TWO: [&str; 2] = ["1.png", "2.png"];

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn encodings_and_separators_of_other_programs() {
    let text = "image,dx\r\n1.png,Nävus\r\n2.png,b\r\n";
    let pipes = "image|age|dx\n1.png|50,5|Nävus\n2.png|60,0|b\n";
    let quoted =
        "image,report,dx\n1.png,\"two\nlines, \"\"said\"\"\",Nävus\n2.png,\"x\r\n\r\ny\",b\n";
    let spaced = " image ; dx ;\n\n 1.png ; Nävus ;\n\n\n\"2.png\"; b;\n";
    for (what, bytes) in [
        ("UTF-8", text.as_bytes().to_vec()),
        (
            "UTF-16",
            utf16(&format!("\u{feff}{text}"), u16::to_le_bytes),
        ),
        ("UTF-16 without a mark", utf16(text, u16::to_le_bytes)),
        ("big UTF-16 without a mark", utf16(text, u16::to_be_bytes)),
        (
            "tabs in UTF-16",
            utf16(
                &format!("\u{feff}{}", text.replace(',', "\t")),
                u16::to_be_bytes,
            ),
        ),
        ("bars", pipes.as_bytes().to_vec()),
        ("line ends in quotes", quoted.as_bytes().to_vec()),
        ("spaces and empty lines", spaced.as_bytes().to_vec()),
    ] {
        let dataset = read(&table_of(&TWO, &bytes));
        assert_eq!(names(&dataset), ["1.png Nävus", "2.png b"], "{what}");
    }
    // Labels with bars between them are no columns.
    let several = read(&table_of(&TWO, b"image,labels\n1.png,a|b\n2.png,b|a\n"));
    assert_eq!(names(&several), ["1.png a+b", "2.png a+b"]);
}

#[test]
fn what_is_no_text_is_named_with_the_way_out() {
    for (bytes, said) in [
        (&b"PK\x03\x04\x14\0\x06\0\x08\0"[..], "a workbook of Excel"),
        (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "a workbook of Excel"),
        (b"image,dx\n1.png,a\0\n", "has bytes of 0"),
        (
            b"image,dx\n1.png,N\xE4vus\n",
            "line 2: it is not UTF-8 (spreadsheets save",
        ),
    ] {
        fails(
            "csv",
            table_of(&TWO, bytes).path(),
            false,
            &["all.csv", said],
        );
    }
}

#[test]
fn marks_are_words_too() {
    for (one, zero) in [
        ("True", "False"),
        ("TRUE", "FALSE"),
        ("yes", "no"),
        ("1.0", "0"),
    ] {
        let text = format!("image,u,v\n1.png,{one},{zero}\n2.png,{one},{one}\n");
        let dataset = read(&table_of(&TWO, text.as_bytes()));
        assert_eq!(names(&dataset), ["1.png u", "2.png u+v"], "{one}");
    }
    // In a column of names they are names.
    let named = read(&table_of(&TWO, b"image,label\n1.png,True\n2.png,False\n"));
    assert_eq!(named.classes, ["False", "True"]);
}

#[test]
fn a_table_without_known_labels_says_how_to_name_them() {
    let folder = table_of(&TWO, b"image,finding,age\n1.png,a,50\n2.png,b,60\n");
    let dataset = read(&folder);
    assert!(!dataset.is_labelled());
    let said = "ignored: finding, age (none is known to name classes: --columns label=NAME says which does)";
    assert!(dataset.notes[0].ends_with(said), "{:?}", dataset.notes);
    // Not where the user knows.
    let layout = Layout {
        choices: Choices {
            labels: vec!["none".into()],
            ..Choices::default()
        },
        ..Layout::new("csv", folder.path())
    };
    let dataset = Dataset::open(&layout, &OpenOptions::default()).unwrap();
    assert!(dataset.notes[0].ends_with("ignored: finding, age"));
}

#[test]
fn names_of_well_known_tables_are_known() {
    for (header, rows) in [
        // PAD-UFES-20, APTOS 2019, EyePACS, IDRiD.
        (
            "patient_id,lesion_id,smoke,age,diagnostic,itch,img_id,biopsed",
            ["P,7,,8,x,FALSE,1.png,TRUE", "Q,8,TRUE,9,y,TRUE,2.png,FALSE"],
        ),
        ("id_code,diagnosis", ["1,x", "2,y"]),
        ("image,level", ["1,x", "2,y"]),
        ("Image name,Retinopathy grade", ["1,x", "2,y"]),
    ] {
        let text = format!("{header}\n{}\n", rows.join("\n"));
        let dataset = read(&table_of(&TWO, text.as_bytes()));
        assert_eq!(names(&dataset), ["1.png x", "2.png y"], "{header}");
    }
}

#[test]
fn paths_in_another_case_lead_to_the_only_file_that_they_can_mean() {
    let files = ["NEL/NEL025.jpg", "NEL/Nel027.JPG", "x/1.png"];
    for rows in [
        ["NEL/Nel025.jpg", "nel/nel027.jpg", "X\\1.PNG"],
        ["NEL025.JPG", "NEL027", "1.PNG"],
        ["nel/nel025", "./NEL/NEL027.jpg", "x/1.Png"],
    ] {
        let rows = rows.map(|path| format!("{path},a\n")).concat();
        let folder = table_of(&files, format!("path,label\n{rows}").as_bytes());
        let dataset = read(&folder);
        assert_eq!(names(&dataset).len(), 3, "{rows}");
        let said = "paths are written in another case than their files";
        assert!(
            dataset.notes.iter().any(|note| note.ends_with(said)),
            "{:?}",
            dataset.notes
        );
    }
    // Of two that differ by case alone, neither; and not the file of another folder.
    let two = table_of(
        &["1.png", "x/A.png", "x/a.png"],
        b"path,label\n1.png,a\nX/A.PNG,b\n",
    );
    fails(
        "csv",
        two.path(),
        false,
        &["line 3, column path: \"X/A.PNG\""],
    );
    let other = table_of(
        &["1.png", "train/2.png"],
        b"path,label\n1.png,a\nTEST/2.png,b\n",
    );
    fails(
        "csv",
        other.path(),
        false,
        &["line 3, column path: \"TEST/2.png\""],
    );
}

#[test]
fn numbers_that_pandas_wrote_with_a_fraction_are_names_of_files() {
    let dataset = read(&table_of(&TWO, b"image_id,label\n1.0,0.0\n2.0,1.0\n"));
    assert_eq!(names(&dataset), ["1.png 0", "2.png 1"]);
}
