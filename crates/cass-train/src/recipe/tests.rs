use super::*;
use crate::methods::{ByolConfig, CassConfig, DinoConfig, Guard, SimsiamConfig, VicregConfig};
use crate::optim::OptimizerConfig;

fn cass() -> CassConfig {
    CassConfig::default()
}

fn dino() -> DinoConfig {
    DinoConfig::default()
}

fn every_preset() -> Vec<Recipe> {
    let both = |method: Method| [Recipe::paper(method.clone()), Recipe::notebook(method)];
    Method::all().into_iter().flat_map(both).collect()
}

#[test]
fn presets_are_valid_and_round_trip() {
    for recipe in every_preset() {
        let text = recipe.to_toml();
        assert_eq!(Recipe::from_toml(&text).unwrap(), recipe, "{text}");
        recipe.validate().unwrap();
    }
}

#[test]
fn paper_deviates_from_itself_in_nothing_and_the_notebook_in_what_protocol_says() {
    assert_eq!(Recipe::paper(cass()).deviations(), [""; 0]);
    assert_eq!(Recipe::paper(dino()).deviations(), [""; 0]);
    assert_eq!(
        Recipe::notebook(cass()).deviations(),
        [
            "data.fraction = 0.1 (paper: 1.0)",
            "data.val_fraction = 0.2 (paper: 0.1)",
            "swa.start = none (paper: 0.75)",
            "zero_grad = false (paper: true)",
        ]
    );
}

/// Also of a field that the paper's recipe leaves out, as all that were written before it do.
#[test]
fn a_deviation_says_what_the_paper_means() {
    let mut recipe = Recipe::paper(cass());
    (recipe.precision, recipe.accumulate) = (Precision::Bf16, 4);
    assert_eq!(
        recipe.deviations(),
        ["accumulate = 4 (paper: 1)", "precision = bf16 (paper: f32)"]
    );
    let text = recipe.to_toml();
    assert!(text.contains("precision = \"bf16\""), "{text}");
    assert_eq!(Recipe::from_toml(&text).unwrap(), recipe);
    recipe.validate().unwrap();
}

#[test]
fn other_channels_than_three_are_a_deviation_with_what_follows_from_it() {
    let mut recipe = Recipe::paper(cass());
    assert!(!recipe.to_toml().contains("in_chans"));
    recipe.data.in_chans = 5;
    assert_eq!(recipe.deviations(), ["data.in_chans = 5 (paper: 3)"]);
    let follows = |recipe: &Recipe| {
        let chosen = recipe.chosen().into_iter();
        chosen
            .filter(|text| text.starts_with("data.in_chans"))
            .collect::<Vec<_>>()
    };
    let said = follows(&recipe).concat();
    assert!(
        said.contains("weights repeated") && said.contains("hue and greyscale change nothing"),
        "{said}"
    );
    let text = recipe.to_toml();
    assert_eq!(Recipe::from_toml(&text).unwrap(), recipe);
    // A run that is only looked at is not validated, and its network made for as many.
    let hostile = text.replace("in_chans = 5", "in_chans = 1000000000000");
    let error = Recipe::from_toml(&hostile).unwrap_err().to_string();
    assert!(
        error.contains("`in_chans` is 1000000000000; expected 1 to 13 channels"),
        "{error}"
    );
    recipe.data.in_chans = 3;
    assert_eq!(follows(&recipe), [""; 0]);
    recipe.data.root = "x".into();
    recipe.data.in_chans = 14;
    let error = recipe.validate().unwrap_err().to_string();
    assert!(
        error.contains("`in_chans` is 14; expected 1 to 13 channels"),
        "{error}"
    );
}

#[test]
fn unknown_keys_name_the_nearest_and_the_line() {
    let text = Recipe::paper(cass()).to_toml();
    let error = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in {text}");
        Recipe::from_toml(&text.replacen(from, to, 1))
            .unwrap_err()
            .to_string()
    };
    for (from, to, said) in [
        (
            "epochs = ",
            "epoch = ",
            "unknown key `epoch`, did you mean `epochs`?",
        ),
        (
            "eta_min = ",
            "etamin = ",
            "unknown key `etamin`, did you mean `eta_min`?",
        ),
        (
            "weight_decay = ",
            "wd = ",
            "unknown key `wd`; known: lr, betas, eps, weight_decay",
        ),
        ("start = ", "begin = ", "unknown key `begin`"),
        (
            "\"adam\"",
            "\"adm\"",
            "unknown value `adm`, did you mean `adam`?",
        ),
        (
            "name = \"cass\"",
            "name = \"cas\"",
            "unknown value `cas`, did you mean `cass`?",
        ),
    ] {
        let message = error(from, to);
        assert!(message.contains(said), "{message}");
        assert!(message.contains("line "), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn a_pipeline_is_a_name_or_a_list_of_transforms() {
    let text = Recipe::paper(cass()).to_toml();
    let with = |pipeline: &str| {
        assert!(text.contains("pipeline = \"paper\""));
        let text = text.replace("pipeline = \"paper\"", &format!("pipeline = {pipeline}"));
        Recipe::from_toml(&text)
    };
    let blur = with("\"paper-blur\"").unwrap();
    assert_eq!(blur.deviations(), ["pipeline = paper-blur (paper: paper)"]);
    let chosen = blur.chosen().join("\n");
    assert!(chosen.contains("a Gaussian blur of 23 pixels"), "{chosen}");
    let own = r#"[
        { transform = "RandomApply", p = 0.8, transforms = [{ transform = "ColorJitter", hue = 0.1 }] },
        { transform = "RandomAffine", degrees = 10, translate = [0.1, 0.1] },
    ]"#;
    let own = with(own).unwrap();
    assert_eq!(Recipe::from_toml(&own.to_toml()).unwrap(), own);
    own.validate().unwrap();
    for (pipeline, said) in [
        (
            "\"paper-blurr\"",
            "unknown value `paper-blurr`, did you mean `paper-blur`?",
        ),
        (
            "[{ transform = \"GaussianBlurr\" }]",
            "did you mean `GaussianBlur`?",
        ),
        (
            "3",
            "expected a pipeline's name, a list of transforms or a list of views",
        ),
        ("[\"paper\", \"papr\"]", "unknown value `papr`"),
    ] {
        let error = with(pipeline).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    for (pipeline, said) in [
        ("\"eval\"", "`pipeline` is eval; expected one that augments"),
        ("\"dino\"", "`pipeline` is dino; expected one that augments"),
        (
            "[{ transform = \"GaussianBlur\", kernel_size = 4 }]",
            "`kernel_size` is 4; expected odd",
        ),
    ] {
        let error = with(pipeline).unwrap().validate().unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_guard_is_written_read_and_told_as_a_deviation() {
    let mut recipe = Recipe::paper(cass());
    assert!(!recipe.to_toml().contains("guard"));
    recipe = recipe.set("guard=variance").unwrap();
    let guard = Some(Guard::Variance);
    assert_eq!(recipe.method, CassConfig { guard }.into());
    assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe);
    assert_eq!(
        recipe.deviations(),
        ["method.guard = variance (paper: none)"]
    );
    assert_eq!(recipe.set("guard=none").unwrap(), Recipe::paper(cass()));
    let error = recipe.set("guard=varianse").unwrap_err().to_string();
    assert!(error.contains("did you mean `variance`?"), "{error}");
}

#[test]
fn impossible_values_name_field_value_and_expectation() {
    type Change = fn(&mut Recipe);
    let cases: [(&str, Change); 16] = [
        ("`batch` is 1; expected at least 2", |r| r.batch = 1),
        ("`accumulate` is 9; expected so few parts", |r| {
            r.accumulate = 9
        }),
        ("`clip_grad_norm` is 0; expected a norm above 0", |r| {
            r.clip_grad_norm = Some(0.0)
        }),
        ("`method.student_temp` is 0; expected a temperature", |r| {
            *r = Recipe::paper(DinoConfig {
                student_temp: 0.0,
                ..dino()
            });
        }),
        ("`fraction` is 0; expected a share", |r| {
            r.data.fraction = 0.0
        }),
        ("`val_fraction` is NaN", |r| r.data.val_fraction = f64::NAN),
        ("`device` is gpu; expected auto, cpu, cuda or cuda:N", |r| {
            r.device = "gpu".into()
        }),
        ("`arms` is vit; expected exactly cnn and vit", |r| {
            drop(r.arms.remove("cnn"))
        }),
        ("`arms` is cnn and vit; expected exactly net", |r| {
            r.method = dino().into();
            r.pipeline = Pipeline::Dino;
        }),
        (
            "`arms.net.schedule.warmup` is 1; expected a share of the run",
            |r| {
                *r = Recipe::paper(VicregConfig::default());
                *r = r.set("arms.net.schedule.warmup=1").unwrap();
            },
        ),
        (
            "`pipeline` is dino; expected one that augments to two views for method byol",
            |r| {
                *r = Recipe::paper(ByolConfig::default());
                r.pipeline = Pipeline::Dino;
            },
        ),
        ("`method.momentum` is 1.5; expected a share", |r| {
            *r = Recipe::paper(ByolConfig {
                momentum: 1.5,
                ..ByolConfig::default()
            });
        }),
        ("`method.pred_dim` is 0; expected at least 1", |r| {
            let config = SimsiamConfig {
                pred_dim: 0,
                ..SimsiamConfig::default()
            };
            *r = Recipe::paper(config);
        }),
        ("`swa.start` is 1;", |r| r.swa = Some(Swa { start: 1.0 })),
        (
            "`arms.cnn.optimizer.lr` is -1; expected a number from 0",
            |r| {
                r.arms.get_mut("cnn").unwrap().optimizer.set_lr(-1.0);
            },
        ),
        (
            "`arms.vit.schedule.eta_min` is 0.000001; expected from 0 to the optimizer's lr",
            |r| {
                r.arms.get_mut("vit").unwrap().optimizer.set_lr(1e-7);
            },
        ),
    ];
    for (said, change) in cases {
        let mut recipe = Recipe::paper(cass());
        change(&mut recipe);
        let message = recipe.validate().unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn a_commit_of_the_registrys_weights_deviates_in_nothing_and_other_weights_do() {
    let mut recipe = Recipe::paper(dino());
    let net = recipe.arms.get_mut("net").unwrap();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let text = format!("hub:timm/resnet50.a1_in1k@{commit}");
    net.weights = text.parse().unwrap();
    assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe);
    assert!(recipe.to_toml().contains(&format!("weights = \"{text}\"")));
    assert_eq!(recipe.deviations(), [""; 0]);
    recipe.arms.get_mut("net").unwrap().weights = "hub:timm/resnet50.tv_in1k".parse().unwrap();
    assert_eq!(
        recipe.deviations(),
        ["arms.net.weights = hub:timm/resnet50.tv_in1k (paper: hub)"]
    );
    let text = recipe.to_toml().replace("hub:timm/", "hub:../");
    let error = Recipe::from_toml(&text).unwrap_err().to_string();
    assert!(error.contains("expected OWNER/NAME"), "{error}");
}

#[test]
fn every_field_of_the_protocols_can_be_set_by_its_name() {
    // All that tells the notebook from the paper, one by one.
    let mut recipe = Recipe::paper(cass());
    for field in [
        "protocol=notebook",
        "fraction=0.1",
        "val_fraction=0.2",
        "zero_grad=false",
        "seed=77",
        "swa=none",
    ] {
        recipe = recipe.set(field).unwrap();
    }
    assert_eq!(recipe, Recipe::notebook(cass()));

    // Every field there is, set to what it is.
    for recipe in every_preset() {
        let table: toml::Table = recipe.to_toml().parse().unwrap();
        let mut fields = Vec::new();
        leaves("", &toml::Value::Table(table), &mut fields);
        assert!(fields.len() > 25, "{fields:?}");
        for field in fields {
            assert_eq!(recipe.set(&field).unwrap(), recipe, "{field}");
        }
    }

    let sgd = "arms.cnn.optimizer={ name = \"sgd\", momentum = 0.9 }";
    let recipe = recipe.set(sgd).unwrap();
    assert!(matches!(&recipe.arms["cnn"].optimizer, OptimizerConfig::Sgd(s) if s.momentum == 0.9));
    let recipe = recipe.set("swa.start = 0.5").unwrap();
    assert_eq!(recipe.swa, Some(Swa { start: 0.5 }));
    let recipe = recipe
        .set("arms.vit.network=vit_small_patch16_224")
        .unwrap();
    assert_eq!(recipe.arms["vit"].network, "vit_small_patch16_224");

    let error = |field: &str| recipe.set(field).unwrap_err().to_string();
    assert!(error("zero_grad").contains("expected FIELD=VALUE"));
    assert!(
        error("epochs=many").starts_with("`epochs=many` cannot be set: "),
        "{}",
        error("epochs=many")
    );
    assert!(error("arms.cnn.optimiser.lr=1").contains("did you mean `optimizer`?"));
    assert!(error("epochs.x=1").contains("`epochs` is no table"));
}

/// `path=value` of everything that is no table.
fn leaves(path: &str, value: &toml::Value, fields: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(key, value)| {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            leaves(&path, value, fields);
        }),
        // One that is no choice of the user's to leave empty.
        toml::Value::String(text) if text.is_empty() => {}
        other => fields.push(format!("{path}={other}")),
    }
}

#[test]
fn a_recipe_without_a_table_of_the_images_is_read_as_one_with_it() {
    let recipe = Recipe::notebook(cass()).set("data_root=scans").unwrap();
    assert_eq!(recipe.data.root, std::path::Path::new("scans"));
    let mut flat: toml::Table = recipe.to_toml().parse().unwrap();
    let images = flat.remove("data").unwrap();
    for (key, field) in [
        ("data", "name"),
        ("data_root", "root"),
        ("val_fraction", "val_fraction"),
        ("fraction", "fraction"),
        ("skip_bad", "skip_bad"),
    ] {
        flat.insert(key.into(), images[field].clone());
    }
    let flat = toml::to_string(&flat).unwrap();
    assert!(flat.contains("data_root = \"scans\""), "{flat}");
    assert_eq!(Recipe::from_toml(&flat).unwrap(), recipe);
    let difference = cass_run::first_difference(&flat, &recipe.to_toml());
    assert_eq!(difference, None);
    let error = Recipe::from_toml(&flat.replace("data_root", "data_rot"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("missing field `root`"), "{error}");
}

/// As they were written before a recipe had a table `[method]`.
#[test]
fn a_recipe_without_a_table_of_the_method_is_read_as_one_with_it() {
    let guarded = CassConfig {
        guard: Some(Guard::Variance),
    };
    let cooled = DinoConfig {
        teacher_temp: 0.07,
        ..dino()
    };
    for (recipe, own) in [
        (Recipe::paper(guarded), "guard = \"variance\""),
        (Recipe::paper(cooled), "teacher_temp = 0.07"),
        (Recipe::notebook(cass()), ""),
    ] {
        let mut flat: toml::Table = recipe.to_toml().parse().unwrap();
        let Some(toml::Value::Table(mut method)) = flat.remove("method") else {
            panic!("no table of the method");
        };
        let name = method.remove("name").unwrap();
        if name.as_str() == Some("dino") {
            flat.insert("dino".into(), method.into());
        } else {
            flat.extend(method);
        }
        flat.insert("method".into(), name);
        let flat = toml::to_string(&flat).unwrap();
        assert!(flat.contains(own) && !flat.contains("[method]"), "{flat}");
        assert_eq!(Recipe::from_toml(&flat).unwrap(), recipe);
        assert_eq!(cass_run::first_difference(&flat, &recipe.to_toml()), None);
        assert_eq!(cass_run::fields(&flat), cass_run::fields(&recipe.to_toml()));
    }
}

#[test]
fn a_methods_fields_are_set_by_their_names_of_today_and_of_before() {
    let recipe = Recipe::paper(dino());
    for field in ["method.student_temp=0.5", "dino.student_temp=0.5"] {
        let set = recipe.set(field).unwrap();
        let of_student = "method.student_temp = 0.5 (paper: 0.9)";
        assert_eq!(set.deviations(), [of_student], "{field}");
    }
    let error = |field: &str| recipe.set(field).unwrap_err().to_string();
    assert!(error("guard=variance").contains("unknown key `guard`"));
    assert!(error("method.student_tmp=1").contains("did you mean `student_temp`?"));
    assert!(error("method=din").contains("did you mean `dino`?"));
}

#[test]
fn a_method_is_known_by_the_name_that_recipes_have() {
    for method in Method::all() {
        let text = Recipe::paper(method.clone()).to_toml();
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["method"]["name"].as_str(), Some(method.name()));
        assert_eq!(method.name().parse(), Ok(method.clone()));
        assert!(method.about().ends_with('.'), "{}", method.about());
        assert!(!method.losses().is_empty());
    }
    let error = "simclr".parse::<Method>().unwrap_err();
    let known = "simclr is no method: expected cass or dino or ";
    assert!(error.starts_with(known), "{error}");
    for method in Method::all() {
        assert!(error.contains(method.name()), "{error}");
    }
}

#[test]
fn statistics_of_images_are_a_deviation_or_a_choice_that_is_told() {
    let paper = Recipe::paper(cass());
    assert!(!paper.to_toml().contains("normalization"));
    let chosen = paper.chosen().join("\n");
    assert!(
        chosen.contains("normalization of vit: mean [0.485,"),
        "{chosen}"
    );
    assert!(!chosen.contains("normalization of cnn"), "{chosen}");

    let own = paper.set("normalization=weights").unwrap();
    assert_eq!(
        own.deviations(),
        ["normalization = weights (paper: imagenet)"]
    );
    assert!(!own.chosen().join("\n").contains("normalization"));
    assert_eq!(Recipe::from_toml(&own.to_toml()).unwrap(), own);
    assert_eq!(own.set("normalization=imagenet").unwrap(), paper);

    let table = "normalization={ mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }";
    let own = paper.set(table).unwrap();
    assert_eq!(own.deviations().len(), 2, "{:?}", own.deviations());
    assert_eq!(Recipe::from_toml(&own.to_toml()).unwrap(), own);
    let error = |field: &str| match paper.set(field) {
        Ok(recipe) => recipe.validate().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    let flat = "normalization={ mean = [0.5, 0.5, 0.5], std = [0.5, 0.0, 0.5] }";
    assert!(error(flat).contains("`normalization.std` is 0; expected numbers above 0"));
    let named = error("normalization=weight");
    assert!(named.contains("expected imagenet, weights"), "{named}");
}
