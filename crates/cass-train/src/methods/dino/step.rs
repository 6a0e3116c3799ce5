use super::config::DinoConfig;
use super::loss::dino_loss;
use crate::average::blend_parameters;
use crate::error::{Error, Result};
use crate::methods::Projector;
use crate::settings::{Arm, Precision};
use crate::step::micro_batch::{MicroBatch, micro_batches};
use crate::step::state::{Tensors, put, put_all, take, under};
use crate::step::{Held, Step, StepOptions, StepReport, Updater, finite, views};
use candle_core::{Tensor, Var};
use cass_models::{Mode, Model};
use cass_ops::{Gradients, Tracked, compose};

/// Name of the centres in a state.
const CENTERS: &str = "centers";

/// DINO as vit-pytorch's `Dino`: a student predicts, from local crops, what its moving average says
/// of global crops. The teacher runs in training mode: its BatchNorm normalises by its own batches
/// and keeps its own running statistics.
pub struct DinoStep {
    name: String,
    mode: Mode,
    config: DinoConfig,
    student: Model,
    projector: Projector,
    teacher: Model,
    teacher_projector: Projector,
    centers: Tensor,
    updater: Updater,
    part: Option<usize>,
    precision: Precision,
}

impl DinoStep {
    /// A step for a network and a fresh projector of its features; the teacher starts as a copy of
    /// both, the centres at zero. The classifier is not trained.
    ///
    /// # Errors
    /// If there is no memory for the copies.
    pub fn new(
        name: &str,
        student: Model,
        projector: Projector,
        arm: &Arm,
        config: &DinoConfig,
        options: &StepOptions,
    ) -> Result<Self> {
        let student = arm.over(student)?;
        let mut params = student.backbone_params();
        let projection = projector.trainable().into_iter();
        params.extend(projection.map(|(name, var)| (format!("projector.{name}"), var)));
        let (dtype, device) = (student.options().dtype, &student.options().device);
        let centers = Tensor::zeros((1, config.num_classes_k), dtype, device)?;
        Ok(Self {
            name: name.into(),
            mode: arm.mode(),
            config: config.clone(),
            teacher: student.deep_copy()?,
            teacher_projector: projector.deep_copy()?,
            centers,
            updater: Updater::new(arm, &student, params, options)?,
            student,
            projector,
            part: options.part,
            precision: options.precision,
        })
    }

    /// The student, which is trained, and its projector.
    pub fn student(&self) -> (&Model, &Projector) {
        (&self.student, &self.projector)
    }

    /// The teacher, the student's moving average, and its projector.
    pub fn teacher(&self) -> (&Model, &Projector) {
        (&self.teacher, &self.teacher_projector)
    }

    /// The centres `(1, K)` that are taken from the teacher's outputs.
    pub fn centers(&self) -> &Tensor {
        &self.centers
    }

    /// All that changes in training but the centres, by the prefix of its names in a state.
    fn variables(&self) -> [(&'static str, Vec<(String, Var)>); 4] {
        [
            ("student.", self.student.params().all()),
            ("student.projector.", self.projector.trainable()),
            ("teacher.", self.teacher.params().all()),
            ("teacher.projector.", self.teacher_projector.trainable()),
        ]
    }

    fn project(&self, view: &Tensor) -> Result<Tracked> {
        self.precision.run(|| {
            let features = self.student.features(view, self.mode)?; // (B, D)
            self.projector.forward(&features, false)
        })
    }

    fn project_teacher(&self, view: &Tensor) -> Result<Tensor> {
        self.precision.run(|| {
            let features = self.teacher.frozen()?.features(view, self.mode)?;
            let projected = self.teacher_projector.forward(&features, true)?;
            Ok(projected.into_value())
        })
    }

    /// The loss of a part of a batch and the mean of the teacher's outputs `(1, K)`, both times the part's
    /// share, and the gradients of the loss.
    fn gradients(&self, part: &MicroBatch) -> Result<(f64, Tensor, Gradients)> {
        let [local1, local2, global1, global2] = views(&part.views)?;
        let (s1, s2) = (self.project(local1)?, self.project(local2)?); // (B, K)
        let (t1, t2) = (
            self.project_teacher(global1)?,
            self.project_teacher(global2)?,
        );
        let centers = part.of(Tensor::cat(&[&t1, &t2], 0)?.mean_keepdim(0)?)?; // (1, K)
        let DinoConfig {
            teacher_temp,
            student_temp,
            ..
        } = self.config;
        let loss = |teacher: &Tensor, student: &Tracked| {
            dino_loss(teacher, student, &self.centers, teacher_temp, student_temp)
        };
        let losses = [loss(&t1, &s2)?, loss(&t2, &s1)?];
        let [first, second] = &losses;
        let loss = compose(&[first, second], |l| part.of(((&l[0] + &l[1])? / 2.0)?))?;
        drop(losses);
        Ok((
            finite(&loss, self.updater.steps())?,
            centers,
            loss.backward()?,
        ))
    }

    /// The teacher's parameters and the centres follow, after the student's update
    /// (`Dino.update_moving_average`); buffers do not.
    fn follow(&mut self, batch_centers: &Tensor) -> Result<()> {
        let keep = self.config.moving_average_decay;
        blend_parameters(&self.teacher, &self.student, keep)?;
        self.teacher_projector.blend(&self.projector, keep)?;
        let keep = self.config.center_moving_average_decay;
        self.centers = ((&self.centers * keep)? + (batch_centers * (1.0 - keep))?)?;
        Ok(())
    }
}

impl Step for DinoStep {
    /// The views are local 1, local 2, global 1 and global 2.
    fn step(&mut self, crops: &[Tensor]) -> Result<StepReport> {
        views::<4>(crops)?;
        let mut report = StepReport::default();
        let mut batch_centers: Option<Tensor> = None;
        let mut parts = micro_batches(crops, self.part)?.into_iter().peekable();
        while let Some(part) = parts.next() {
            let (loss, centers, grads) = self.gradients(&part)?;
            report.loss += loss;
            batch_centers = Some(match batch_centers {
                Some(sum) => (sum + centers)?,
                None => centers,
            });
            if parts.peek().is_some() {
                self.updater.gather(&grads)?;
            } else {
                self.updater.update(&grads, &self.name, &mut report)?;
            }
        }
        if let Some(batch_centers) = batch_centers {
            self.follow(&batch_centers)?;
        }
        Ok(report)
    }

    fn arms(&self) -> Vec<(&str, &Model)> {
        vec![(&self.name, &self.student)]
    }

    fn networks(&self) -> Vec<&Model> {
        vec![&self.student, &self.teacher]
    }

    fn forget(&mut self) {
        self.updater.forget();
    }

    fn held(&self) -> Held {
        let variables = self.variables().map(|(_, variables)| variables);
        Held::of(&variables.concat(), &self.updater)
    }

    fn state(&self) -> Result<Tensors> {
        let mut state = Tensors::new();
        for (prefix, variables) in self.variables() {
            put(&mut state, prefix, variables);
        }
        put_all(&mut state, "optimizer.", self.updater.state()?);
        state.insert(CENTERS.into(), self.centers.clone());
        Ok(state)
    }

    fn load_state(&mut self, state: &Tensors) -> Result<()> {
        for (prefix, variables) in self.variables() {
            take(state, prefix, variables)?;
        }
        self.updater.load_state(&under(state, "optimizer."))?;
        let centers = state.get(CENTERS);
        let centers = centers.filter(|centers| centers.dims() == self.centers.dims());
        let centers = centers.ok_or_else(|| Error::State(CENTERS.into()))?;
        self.centers = centers.to_device(self.centers.device())?;
        Ok(())
    }
}
