// SPDX-License-Identifier: Apache-2.0
//! Random configs that a seed brings back.

use crate::layout::Layout;
use crate::schema::{Field, Parcelable, Type};
use crate::value::Value;
use crate::writer::{Message, Writer};
use fastrand::Rng;

/// The most descriptors of one message.
pub const MAX_DESCRIPTORS: usize = 64;
/// How likely a field is set, from nearly all defaults to densely set.
pub const DENSITIES: [f64; 6] = [0.02, 0.1, 0.3, 0.5, 0.8, 1.0];

/// Numbers that look like sizes, counts, tags or presence words where another layout has one.
const NUMBERS: [i32; 18] = [
    0,
    1,
    2,
    3,
    4,
    8,
    12,
    16,
    20,
    24,
    64,
    256,
    1024,
    4096,
    -1,
    i32::MAX,
    i32::MIN,
    0x0001_0000,
];
/// What clients send for platformVersion.
const PLATFORM_VERSION: &str = "~1.0";

/// createVm's arguments.
#[derive(Debug, Clone)]
pub struct CreateVm {
    /// The config.
    pub config: Value,
    /// The descriptors that follow it.
    pub files: Vec<Value>,
    /// Their bytes.
    pub message: Message,
}

/// Random arguments of createVm in `layout`: what they are follows from `seed`.
#[must_use]
pub fn create_vm(layout: Layout, seed: u64) -> CreateVm {
    let mut rng = Rng::with_seed(seed);
    loop {
        let density = DENSITIES[rng.usize(..DENSITIES.len())];
        let mut random = Random { rng, density };
        // Raw configs are where the layouts differ most.
        let tag = usize::from(random.rng.u8(..4) != 0);
        let config = Value::union(tag, random.value(&layout.config().fields[tag].ty));
        let files: Vec<Value> = (0..layout.files())
            .map(|_| random.value(&Type::Nullable(&Type::Descriptor)))
            .collect();
        let message = Writer::default().create_vm(layout, &config, &files);
        if message.descriptors.len() <= MAX_DESCRIPTORS {
            return CreateVm {
                config,
                files,
                message,
            };
        }
        rng = random.rng;
    }
}

struct Random {
    rng: Rng,
    density: f64,
}

impl Random {
    fn is_set(&mut self) -> bool {
        self.rng.f64() < self.density
    }

    fn field(&mut self, field: &Field) -> Value {
        if field.name == "platformVersion" && self.rng.u8(..8) != 0 {
            return Value::text(PLATFORM_VERSION);
        }
        // What cannot be left out is made of fields that can.
        let is_structure = matches!(field.ty, Type::Parcelable(_) | Type::Union(_));
        if is_structure || self.is_set() {
            self.value(&field.ty)
        } else {
            field.default_value()
        }
    }

    fn parcelable(&mut self, parcelable: &'static Parcelable) -> Value {
        let fields = parcelable.fields.iter();
        Value::Parcelable(fields.map(|field| self.field(field)).collect())
    }

    fn value(&mut self, ty: &Type) -> Value {
        match ty {
            Type::Bool => Value::Bool(self.rng.bool()),
            Type::Int => Value::Int(self.number()),
            Type::Long => Value::Long(self.rng.i64(..) >> self.rng.u32(..64)),
            Type::Enum(end) => Value::Int(self.rng.i32(0..*end)),
            Type::Text => Value::Text(self.text()),
            Type::Bytes64 => Value::Bytes(self.bytes()),
            Type::Descriptor => Value::Descriptor(0),
            Type::Array(ty) => {
                let count = self.rng.usize(..4);
                Value::Array((0..count).map(|_| self.value(ty)).collect())
            }
            Type::Parcelable(parcelable) => self.parcelable(parcelable),
            Type::Union(union) => {
                let tag = if self.is_set() {
                    self.rng.usize(..union.fields.len())
                } else {
                    0
                };
                Value::union(tag, self.field(&union.fields[tag]))
            }
            // A binder exists in a session only.
            Type::Nullable(Type::Binder) | Type::Binder => Value::Null,
            Type::Nullable(ty) => {
                if self.is_set() {
                    self.value(ty)
                } else {
                    Value::Null
                }
            }
        }
    }

    fn number(&mut self) -> i32 {
        match self.rng.u8(..4) {
            0 => self.rng.i32(..),
            1 => self.rng.i32(0..10_000),
            _ => NUMBERS[self.rng.usize(..NUMBERS.len())],
        }
    }

    /// Texts whose units look like small words as well as those of people.
    fn text(&mut self) -> String {
        let length = match self.rng.u8(..8) {
            0 => 0,
            1 => self.rng.usize(..200),
            _ => self.rng.usize(..24),
        };
        (0..length)
            .map(|_| match self.rng.u8(..8) {
                0 => char::from(self.rng.u8(1..32)),
                1 => self.rng.char('\u{80}'..='\u{ffff}'),
                2 => self.rng.char('\u{10000}'..='\u{10ffff}'),
                _ => self.rng.alphanumeric(),
            })
            .collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        match self.rng.u8(..3) {
            0 => {}
            1 => self.rng.fill(&mut bytes),
            // Small words.
            _ => bytes
                .iter_mut()
                .step_by(4)
                .for_each(|byte| *byte = self.rng.u8(..5)),
        }
        bytes
    }
}
