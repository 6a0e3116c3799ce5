//! Batches, made ahead of the step that takes them.

pub use crate::phases::PhaseTimes;

use crate::augment::dino::DinoDraw;
use crate::augment::transform::{self, Transform};
use crate::augment::{Normalization, Pipeline};
use crate::dataset::Dataset;
use crate::error::expect;
use crate::image::Pixels;
use crate::phases::{Clock, Phase};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use cass_rng::Rng;
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

/// How a [`Loader`] makes its batches.
///
/// ```
/// use cass_data::loader::LoaderConfig;
/// let config = LoaderConfig { size: 96, batch: 32, ..LoaderConfig::default() };
/// assert_eq!((config.seed, config.shuffle), (0, true));
/// ```
#[derive(Debug, Clone)]
pub struct LoaderConfig {
    /// What is done to each image.
    pub pipeline: Pipeline,
    /// How often each image goes through the pipeline, each time with draws of its own.
    pub draws: usize,
    /// Side of the square images, in pixels.
    pub size: usize,
    /// Images a batch.
    pub batch: usize,
    /// What images are normalised by: ImageNet's statistics unless the weights in use have others.
    pub normalization: Normalization,
    /// Decides the order and every draw of the augmentation.
    pub seed: u64,
    /// Whether every epoch has a new order, rather than that of the indices.
    pub shuffle: bool,
    /// Whether a last batch that is smaller than the others is left out.
    pub drop_last: bool,
    /// Threads that decode and augment; 0 is one a core. They change no pixel.
    pub threads: usize,
    /// Where the tensors are put.
    pub device: Device,
    /// Batches made ahead of the one in use, at least one.
    pub prefetch: usize,
}

impl Default for LoaderConfig {
    /// The paper's augmentation at 224 pixels, 16 images a batch in a new order every epoch, on the
    /// CPU with a thread a core.
    fn default() -> Self {
        Self {
            pipeline: Pipeline::Paper,
            draws: 1,
            size: 224,
            batch: 16,
            normalization: Normalization::IMAGENET,
            seed: 0,
            shuffle: true,
            drop_last: false,
            threads: 0,
            device: Device::Cpu,
            prefetch: 3,
        }
    }
}

impl LoaderConfig {
    /// The same for images as they are, all of them, in the order of the indices.
    #[must_use]
    pub fn plain(self) -> Self {
        Self {
            pipeline: Pipeline::Eval,
            draws: 1,
            shuffle: false,
            drop_last: false,
            ..self
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        expect("batch", self.batch, self.batch > 0, "at least 1")?;
        let fits = self.draws == 1 || self.draws > 1 && self.pipeline.views() == 1;
        let expected = "1, or more of a pipeline that makes one view";
        expect("draws", self.draws, fits, expected)?;
        expect("size", self.size, self.size > 0, "at least 1")?;
        self.pipeline.check(self.size)
    }
}

/// One batch, as a network takes it.
#[derive(Debug, Clone)]
pub struct Batch {
    /// [`Pipeline::views`] times [`LoaderConfig::draws`] tensors `(B, C, size, size)`, f32, normalised; C is
    /// [`Reading::in_chans`](crate::image::Reading::in_chans).
    pub views: Vec<Tensor>,
    /// The B classes of a multi-class data set; for the labels of a multi-label one see
    /// [`Dataset::targets`](crate::dataset::Dataset::targets).
    pub labels: Vec<usize>,
    /// The B indices into [`Dataset::samples`](crate::dataset::Dataset::samples).
    pub samples: Vec<usize>,
}

impl Batch {
    /// The first view `(B, C, size, size)`: the only one, unless a method takes more.
    pub fn images(&self) -> &Tensor {
        &self.views[0]
    }
}

/// Batches of a data set, decoded and augmented on threads of its own ahead of their use.
///
/// An epoch's order is fixed by the seed and the epoch. Every pixel depends only on the seed, the
/// epoch, the sample and the view (for [`Pipeline::Dino`] the batch instead of the sample): the
/// number of threads changes nothing, and a resumed run sees the same views.
pub struct Loader {
    work: Arc<Work>,
}

/// What the producer threads share.
struct Work {
    dataset: Arc<Dataset>,
    indices: Vec<usize>,
    config: LoaderConfig,
    /// Of each view of the pipeline.
    transforms: Vec<Vec<Transform>>,
    pool: rayon::ThreadPool,
    clock: Clock,
}

/// Where a batch in the making will arrive.
type Promise = Receiver<Result<HostBatch>>;

/// A batch before it is on its device.
struct HostBatch {
    views: Vec<Vec<f32>>,
    samples: Vec<usize>,
}

impl Loader {
    /// A loader of the samples at `indices`.
    ///
    /// # Errors
    /// No indices, or one out of range; a batch or size of 0; a stage's argument out of its range;
    /// threads that do not start.
    pub fn new(dataset: Arc<Dataset>, indices: Vec<usize>, config: LoaderConfig) -> Result<Self> {
        config.check()?;
        expect("samples", 0, !indices.is_empty(), "at least 1")?;
        let last = indices.iter().copied().max().unwrap_or(0);
        let fits = last < dataset.len();
        expect("sample", last, fits, "an index into the data set")?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(config.threads)
            .thread_name(|i| format!("cass-data-{i}"))
            // A batch that panicked never arrives, which is an error where it is waited for.
            .panic_handler(|_| {})
            .build()
            .map_err(|e| Error::Threads(e.to_string()))?;
        let transforms = config.pipeline.transforms().into_iter();
        Ok(Self {
            work: Arc::new(Work {
                dataset,
                indices,
                transforms: transforms.map(Cow::into_owned).collect(),
                config,
                pool,
                clock: Clock::default(),
            }),
        })
    }

    /// Batches an epoch.
    pub fn batches(&self) -> usize {
        let (images, batch) = (self.work.indices.len(), self.work.config.batch);
        if self.work.config.drop_last {
            images / batch
        } else {
            images.div_ceil(batch)
        }
    }

    /// Images an epoch.
    pub fn images(&self) -> usize {
        self.work
            .indices
            .len()
            .min(self.batches() * self.work.config.batch)
    }

    /// The time that making batches has taken so far.
    pub fn phase_times(&self) -> PhaseTimes {
        self.work.clock.times()
    }

    /// Starts making the batches of epoch `epoch`.
    pub fn epoch(&self, epoch: u64) -> Epoch {
        self.epoch_from(epoch, 0)
    }

    /// Starts making the batches of epoch `epoch` from its batch number `first` on, the same that
    /// [`Loader::epoch`] gives there; the ones before cost nothing.
    pub fn epoch_from(&self, epoch: u64, first: usize) -> Epoch {
        let work = self.work.clone();
        let batches = self.batches();
        // The producer holds one more while it waits for room, and the channel keeps the rest.
        let (sender, receiver) = sync_channel(work.config.prefetch.saturating_sub(1));
        let producer = thread::Builder::new()
            .name("cass-data".into())
            .spawn(move || produce(&work, epoch, first..batches, &sender));
        let (producer, failed) = match producer {
            Ok(handle) => (Some(handle), None),
            Err(e) => (None, Some(Error::Threads(e.to_string()))),
        };
        Epoch {
            work: self.work.clone(),
            receiver: Some(receiver),
            producer,
            failed,
            left: batches.saturating_sub(first),
        }
    }
}

/// The batches of one epoch, in their fixed order. Dropping it stops the work.
///
/// After an error, which names the file, there are no more batches.
pub struct Epoch {
    work: Arc<Work>,
    receiver: Option<Receiver<Promise>>,
    producer: Option<JoinHandle<()>>,
    failed: Option<Error>,
    left: usize,
}

impl Iterator for Epoch {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.left = 0;
            return Some(Err(error));
        }
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let received = self
            .receiver
            .as_ref()?
            .recv()
            .and_then(|batch| batch.recv());
        let batch = match received {
            Ok(host) => host.and_then(|host| self.work.to_device(host)),
            Err(_) => Err(Error::Threads("the producer stopped early".into())),
        };
        if batch.is_err() {
            self.left = 0;
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

impl Drop for Epoch {
    fn drop(&mut self) {
        // Without a receiver the producer's next send fails, and it returns.
        self.receiver = None;
        if let Some(producer) = self.producer.take() {
            let _ = producer.join(); // its panic, if any, was reported by `next`
        }
    }
}

/// Starts the batches in their order; several are in the making at once, so that no thread waits
/// for the last image of one.
fn produce(work: &Arc<Work>, epoch: u64, batches: Range<usize>, sender: &SyncSender<Promise>) {
    let order = work.order(epoch);
    let stopped = Arc::new(AtomicBool::new(false));
    let chunks = order.chunks(work.config.batch).take(batches.end);
    for (number, samples) in chunks.enumerate().skip(batches.start) {
        let (done, promise) = channel();
        let (samples, stopped_too) = (samples.to_vec(), stopped.clone());
        let of_job = work.clone();
        work.pool.spawn(move || {
            if !stopped_too.load(Ordering::Relaxed) {
                // Nobody may be waiting any more.
                let _ = done.send(of_job.make(epoch, number, &samples));
            }
        });
        if sender.send(promise).is_err() {
            stopped.store(true, Ordering::Relaxed);
            return;
        }
    }
}

impl Work {
    /// Of the images that a network sees.
    fn channels(&self) -> usize {
        self.dataset.reading.in_chans
    }

    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order = self.indices.clone();
        if self.config.shuffle {
            Rng::new(self.config.seed, "shuffle", [epoch, 0], 0).shuffle(&mut order);
        }
        order
    }

    /// Makes the views of these samples, on the current thread pool.
    fn make(&self, epoch: u64, number: usize, samples: &[usize]) -> Result<HostBatch> {
        let LoaderConfig {
            ref pipeline,
            ref normalization,
            draws,
            size,
            seed,
            ..
        } = self.config;
        let image = self.channels() * size * size;
        let mut views = vec![vec![0f32; samples.len() * image]; pipeline.views() * draws];
        // One item a sample: its part of every view.
        let mut slots: Vec<Vec<&mut [f32]>> = samples.iter().map(|_| Vec::new()).collect();
        for view in &mut views {
            for (slot, part) in slots.iter_mut().zip(view.chunks_exact_mut(image)) {
                slot.push(part);
            }
        }
        let dino = [0, 1].map(|augmentation| {
            let path = [epoch, number as u64];
            DinoDraw::new(size, &mut Rng::new(seed, "dino", path, augmentation))
        });
        slots
            .into_par_iter()
            .zip(samples)
            .try_for_each(|(mut slot, &sample)| {
                let clock = &self.clock;
                let pixels = self.dataset.pixels_timed(sample, size, clock)?;
                let normalize = |pixels: &Pixels, view: &mut [f32]| {
                    clock.time(Phase::Normalize, || {
                        pixels.normalize_into(normalization, view)
                    });
                };
                match (pipeline, &mut slot[..]) {
                    (Pipeline::Dino, [local1, local2, global1, global2]) => {
                        clock.time(Phase::Augment, || {
                            dino[0].apply(&pixels, size, normalization, [local1, global1]);
                            dino[1].apply(&pixels, size, normalization, [local2, global2]);
                        });
                    }
                    (_, slot) => {
                        let views = slot.iter_mut().zip(self.transforms.iter().cycle());
                        for ((view, transforms), number) in views.zip(0..) {
                            let path = [epoch, sample as u64];
                            let mut rng = Rng::new(seed, "augment", path, number);
                            let augment = || {
                                let drawn = transform::draw(transforms, size, &mut rng);
                                transform::apply(&drawn, &pixels)
                            };
                            normalize(&clock.time(Phase::Augment, augment), view);
                        }
                    }
                }
                Ok::<(), Error>(())
            })?;
        Ok(HostBatch {
            views,
            samples: samples.to_vec(),
        })
    }

    fn to_device(&self, host: HostBatch) -> Result<Batch> {
        let size = self.config.size;
        let shape = (host.samples.len(), self.channels(), size, size);
        let to_tensor = |view| Tensor::from_vec(view, shape, &self.config.device);
        Ok(Batch {
            views: host
                .views
                .into_iter()
                .map(to_tensor)
                .collect::<Result<_, _>>()?,
            labels: host
                .samples
                .iter()
                .map(|&i| self.dataset.samples[i].label())
                .collect(),
            samples: host.samples,
        })
    }
}
