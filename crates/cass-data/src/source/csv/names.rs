//! Names that columns have in tables as they are given out.

pub(super) const PATH: [&str; 19] = [
    "path",
    "file",
    "filename",
    "filepath",
    "image",
    "image_path",
    "image_file",
    "image_id",
    "image_name",
    "image_index",
    "img",
    "img_path",
    "img_name",
    "img_id",
    "isic_id",
    "id_code",
    "dicom_id",
    "images",
    "id",
];
pub(super) const LABEL: [&str; 13] = [
    "label",
    "class",
    "target",
    "dx",
    "diagnosis",
    "diagnosis_1",
    "category",
    "class_name",
    "label_name",
    "diagnostic",
    "level",
    "grade",
    "retinopathy_grade",
];
pub(super) const LABELS: [&str; 5] = [
    "labels",
    "finding_labels",
    "findings",
    "classes",
    "diagnoses",
];
pub(super) const SPLIT: [&str; 4] = ["split", "part", "subset", "partition"];
pub(super) const GROUP: [&str; 15] = [
    "group",
    "patient",
    "patient_id",
    "lesion_id",
    "study",
    "patient_no",
    "subject",
    "subject_id",
    "case",
    "case_id",
    "case_num",
    "mrn",
    "person_id",
    "participant_id",
    "study_id",
];
/// 0/1 columns of these names are no classes.
pub(super) const NO_CLASS: [&str; 6] = ["age", "sex", "gender", "male", "female", "is_male"];
