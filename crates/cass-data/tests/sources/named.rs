//! Data sets by their names, as their archives unpack.

use super::*;
use cass_data::source::{Choices, Source};

/// What is read of a folder, by patient or lesion.
fn groups(dataset: &Dataset) -> Vec<&str> {
    let samples = dataset.samples.iter();
    samples
        .map(|sample| sample.group.as_deref().unwrap_or("-"))
        .collect()
}

const TASK_3: &str = "ISIC2018_Task3_Training_GroundTruth";
const ISIC_2018: &str = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n\
    ISIC_0024306,0.0,1.0,0.0,0.0,0.0,0.0,0.0\nISIC_0024307,1.0,0.0,0.0,0.0,0.0,0.0,0.0\n";

#[test]
fn isic2018_is_its_ground_truth_and_its_input_folder() {
    let images = [
        "ISIC2018_Task3_Training_Input/ISIC_0024306.jpg",
        "ISIC2018_Task3_Training_Input/ISIC_0024307.jpg",
    ];
    // The table next to the images' folder, or in a folder of its own name; the set's folder, or the one above.
    let own = format!("{TASK_3}/{TASK_3}.csv");
    let bare = format!("{TASK_3}.csv");
    for (table, above) in [(&own, ""), (&bare, ""), (&own, "isic2018/")] {
        let files = images.map(|image| format!("{above}{image}"));
        let table = format!("{above}{table}");
        let folder = layout(&[
            (&files[0], None),
            (&files[1], None),
            (&table, Some(ISIC_2018)),
        ]);
        // Two images are not of seven classes.
        fails("isic2018", folder.path(), false, &["class \"BCC\""]);
        let found = Layout::new("isic2018", folder.path()).find().unwrap();
        assert_eq!(
            found.classes,
            ["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
        );
        assert_eq!(found.task, Task::MultiClass);
        let labels: Vec<_> = found.items.iter().map(|item| &item.labels[..]).collect();
        assert_eq!(labels, [&[1], &[0]]);
    }
    let none = layout(&[(images[0], None)]);
    fails("isic2018", none.path(), false, &["isic2018", &bare]);
}

#[test]
fn isic2020_has_patients_and_two_classes() {
    let table = "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target\n\
        ISIC_1,IP_7,male,45.0,head/neck,unknown,benign,0\nISIC_2,IP_7,male,45.0,torso,nevus,benign,0\n\
        ISIC_3,IP_8,female,,torso,melanoma,malignant,1\n";
    for (file, folder) in [
        (
            "ISIC_2020_Training_GroundTruth.csv",
            "ISIC_2020_Training_Input",
        ),
        (
            "ISIC_2020_Training_GroundTruth_v2.csv",
            "ISIC_2020_Training_JPEG/train",
        ),
        ("train.csv", "jpeg/train"),
        ("train.csv", "train"),
    ] {
        let images = [1, 2, 3].map(|i| format!("{folder}/ISIC_{i}.jpg"));
        let mut files: Vec<_> = images.iter().map(|image| (image.as_str(), None)).collect();
        files.push((file, Some(table)));
        let folder = layout(&files);
        let dataset = open("isic2020", folder.path(), false).unwrap();
        assert_eq!(dataset.classes, ["benign", "malignant"], "{file}");
        assert_eq!(groups(&dataset), ["IP_7", "IP_7", "IP_8"]);
        assert_eq!(
            dataset.samples[2].labels,
            [1],
            "{file}, not the column diagnosis"
        );
    }
}

#[test]
fn isic2024_has_patients_and_targets() {
    let table = "isic_id,target,patient_id,age_approx,sex,lesion_id\n\
        ISIC_0015670,0,IP_1235828,60.0,male,\nISIC_0015845,1,IP_8170065,60.0,male,IL_6727506\n";
    for (file, folder) in [
        ("train-metadata.csv", "train-image/image"),
        (
            "ISIC_2024_Training_Metadata.csv",
            "ISIC_2024_Training_Input",
        ),
    ] {
        let images = ["ISIC_0015670", "ISIC_0015845"].map(|name| format!("{folder}/{name}.jpg"));
        let folder = layout(&[
            (&images[0], None),
            (&images[1], None),
            (file, Some(table)),
            // Kaggle's second table is of the hidden test set.
            ("test-metadata.csv", Some("isic_id\nISIC_9\n")),
        ]);
        let dataset = open("isic2024", folder.path(), false).unwrap();
        assert_eq!(dataset.classes, ["0", "1"], "{file}");
        assert_eq!(groups(&dataset), ["IP_1235828", "IP_8170065"]);
    }
}

#[test]
fn dermofit_keeps_lesions_of_a_patient_together_and_leaves_masks_out() {
    // One folder a class and in it one a lesion; A2a and A2b are of one patient.
    let files: Vec<String> = [
        "AK/A1", "AK/A2a", "AK/A2b", "BCC/B10", "BCC/B11a", "BCC/B11b", "BCC/B12",
    ]
    .iter()
    .flat_map(|lesion| {
        let name = &lesion[lesion.find('/').unwrap() + 1..];
        [
            format!("{lesion}/{name}.png"),
            format!("{lesion}/{name}mask.png"),
        ]
    })
    .collect();
    let mut files: Vec<_> = files.iter().map(|file| (file.as_str(), None)).collect();
    files.push(("readme.txt", Some("Edinburgh")));
    for above in ["", "dermofit/"] {
        let files = files.iter().map(|(f, t)| (format!("{above}{f}"), *t));
        let files: Vec<_> = files.collect();
        let files: Vec<_> = files.iter().map(|(f, t)| (f.as_str(), *t)).collect();
        let folder = layout(&files);
        let dataset = open("dermofit", folder.path(), false).unwrap();
        assert_eq!(dataset.classes, ["AK", "BCC"]);
        assert_eq!(
            groups(&dataset),
            ["A1", "A2", "A2", "B10", "B11", "B11", "B12"]
        );
        for seed in 0..8 {
            splits::assert_groups_whole(&dataset, &dataset.split(seed, 0.3));
        }
    }
}

#[test]
fn ham10000_comes_in_two_parts_of_images_and_a_table_of_lesions() {
    let folder = layout(&[
        ("HAM10000_images_part_1/ISIC_0027419.jpg", None),
        ("HAM10000_images_part_1/ISIC_0025030.jpg", None),
        ("HAM10000_images_part_2/ISIC_0031633.jpg", None),
        (
            "HAM10000_metadata.csv",
            Some(
                "lesion_id,image_id,dx,dx_type,age,sex,localization\n\
                 HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp\n\
                 HAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp\n\
                 HAM_0001466,ISIC_0031633,nv,histo,,male,ear\n",
            ),
        ),
    ]);
    let parts = ["HAM10000_images_part_1", "HAM10000_images_part_2"];
    let choices = Choices {
        images: parts.iter().map(|part| folder.path().join(part)).collect(),
        ..Choices::default()
    };
    // The folders named, or found below the table's.
    for choices in [choices, Choices::default()] {
        let layout = Layout {
            choices,
            ..Layout::new("csv", folder.path())
        };
        let dataset = Dataset::open(&layout, &OpenOptions::default()).unwrap();
        assert_eq!(
            names(&dataset),
            [
                "HAM10000_images_part_1/ISIC_0025030.jpg bkl",
                "HAM10000_images_part_1/ISIC_0027419.jpg bkl",
                "HAM10000_images_part_2/ISIC_0031633.jpg nv"
            ]
        );
        assert_eq!(
            groups(&dataset),
            ["HAM_0000118", "HAM_0000118", "HAM_0001466"]
        );
    }
}

/// A `.npz` file with these members, each a header of NumPy and data.
fn archive(members: &[(&str, &str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = fs::File::create(folder.path().join("set.npz")).unwrap();
    let mut writer = zip::ZipWriter::new(file);
    for (name, shape, data) in members {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        writer.start_file(format!("{name}.npy"), options).unwrap();
        std::io::Write::write_all(&mut writer, &bytes).unwrap();
    }
    writer.finish().unwrap();
    folder
}

#[test]
fn volumes_of_medmnist_are_named_as_such() {
    for (shape, said) in [
        ("(2, 8, 9, 14)", "volumes (3D) of 8x9x14"),
        ("(2, 8, 9, 10, 3)", "volumes (3D) of 8x9x10"),
        ("(2, 64)", "has shape [2, 64]"),
        ("(0, 4294967296, 4294967296)", "has shape"),
        ("(2, 0, 3)", "has shape [2, 0, 3]"),
    ] {
        let data = if shape.ends_with("14)") {
            vec![7; 2 * 1008]
        } else {
            Vec::new()
        };
        let labels = ("train_labels", "(2, 1)", vec![0, 1]);
        let folder = archive(&[labels, ("train_images", shape, data)]);
        fails(
            "medmnist",
            folder.path(),
            false,
            &["array train_images", said, "expected"],
        );
    }
}

#[test]
fn arrays_of_many_channels_are_images_where_as_many_are_asked_for() {
    let part = |name: &str| {
        let images: Vec<u8> = (0..2 * 4 * 5 * 6).map(|v| (v * 7) as u8).collect();
        [
            (format!("{name}_labels"), "(2, 1)", vec![0, 1]),
            (format!("{name}_images"), "(2, 4, 5, 6)", images),
        ]
    };
    let members: Vec<_> = ["train", "val", "test"]
        .into_iter()
        .flat_map(part)
        .collect();
    let members: Vec<_> = members
        .iter()
        .map(|(n, s, d)| (n.as_str(), *s, d.clone()))
        .collect();
    let folder = archive(&members);
    let of = |in_chans: usize| {
        let recipe = DataRecipe {
            in_chans,
            ..DataRecipe::new("medmnist", folder.path())
        };
        recipe.open(&OpenOptions::default())
    };
    let dataset = of(6).unwrap();
    let pixels = dataset.pixels(1, 5).unwrap();
    assert_eq!((dataset.len(), pixels.channels()), (6, 6));
    let said = of(3).unwrap_err().to_string();
    assert!(
        said.contains("has 6 channels, expected 3 (--in-chans"),
        "{said}"
    );
}

#[test]
fn a_damaged_member_of_an_archive_is_told_by_its_checksum() {
    let part = |name: &str| {
        [
            (format!("{name}_labels"), "(2, 1)", vec![0, 1]),
            (format!("{name}_images"), "(2, 4, 5)", (0..40).collect()),
        ]
    };
    let members: Vec<_> = ["train", "val", "test"]
        .into_iter()
        .flat_map(part)
        .collect();
    let members: Vec<_> = members
        .iter()
        .map(|(n, s, d)| (n.as_str(), *s, d.clone()))
        .collect();
    let folder = archive(&members);
    assert_eq!(open("medmnist", folder.path(), false).unwrap().len(), 6);
    let longer: Vec<_> = members
        .iter()
        .map(|(n, s, d)| (*n, *s, [&d[..], &[1]].concat()))
        .collect();
    fails(
        "medmnist",
        archive(&longer).path(),
        false,
        &["has more bytes than its shape says"],
    );
    let file = folder.path().join("set.npz");
    let mut bytes = fs::read(&file).unwrap();
    let place = bytes
        .windows(4)
        .position(|w| w == [4, 5, 6, 7])
        .unwrap_or_else(|| panic!("the archive stores its members"));
    bytes[place] ^= 0x40;
    fs::write(&file, bytes).unwrap();
    fails("medmnist", folder.path(), false, &["array train_images"]);
}
