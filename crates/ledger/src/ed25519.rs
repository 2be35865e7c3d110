//! Ed25519 (RFC 8032), verified strictly. A rebuild of a catalog or a mirror's check verifies a party's
//! signatures by the million, so a key that is used often gets a table of its multiples.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity as _;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha512};

/// So many signatures a key verifies before it gets its table, which takes as long to make as some
/// ten verifications do.
const OFTEN: u32 = 32;
/// Bits of a scalar that one look into a table is for. More make tables that no cache holds.
const BITS: usize = 6;
/// The multiples of a point in a row of a table: digits are signed.
const MULTIPLES: usize = 1 << (BITS - 1);

/// Multiples of a point: a row for each six bits of a scalar, with the multiples by 1 to 32. How long a
/// product takes depends on the scalar, so it is for verifying only, where nothing is secret.
struct Multiples(Vec<[EdwardsPoint; MULTIPLES]>);

impl Multiples {
    fn of(point: EdwardsPoint) -> Self {
        let mut first = point;
        let row = |_| {
            let mut row = [first; MULTIPLES];
            let mut last = first;
            for multiple in row.iter_mut().skip(1) {
                last += first;
                *multiple = last;
            }
            first = last + last;
            row
        };
        Self((0..256_usize.div_ceil(BITS)).map(row).collect())
    }

    /// Adds the point times a scalar to a sum.
    fn add_product(&self, scalar: &Scalar, sum: &mut EdwardsPoint) {
        let bytes = scalar.as_bytes();
        let mut carry = 0;
        for (place, row) in self.0.iter().enumerate() {
            let (byte, bit) = (place * BITS / 8, place * BITS % 8);
            let at = |byte: usize| bytes.get(byte).copied().unwrap_or_default();
            let two = u16::from_le_bytes([at(byte), at(byte + 1)]);
            let digit = usize::from(two >> bit) % (1 << BITS) + carry;
            // A digit above half of the radix is one less than nothing of it, and one more of the next.
            carry = usize::from(digit > MULTIPLES);
            match carry {
                0 if digit > 0 => *sum += &row[digit - 1],
                1 if digit < 2 * MULTIPLES => *sum -= &row[2 * MULTIPLES - digit - 1],
                _ => {}
            }
        }
    }
}

/// Tables of keys that there are at a time, each of 215 KiB: a log may change its key as often as it likes.
const MOST: usize = 64;
static TABLES: AtomicUsize = AtomicUsize::new(0);

/// The table of a key, which counts as long as it is there.
struct Kept(Multiples);

impl Kept {
    fn of(point: EdwardsPoint) -> Option<Self> {
        let one_more = |count| (count < MOST).then_some(count + 1);
        TABLES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(Multiples::of(point)))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        TABLES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A public key.
#[derive(Clone)]
pub struct Ed25519Key {
    key: VerifyingKey,
    /// Shared by all copies of the key.
    use_of: Arc<Use>,
}

#[derive(Default)]
struct Use {
    signatures: AtomicU32,
    /// Of the negative key; none if it is weak or there were too many already.
    multiples: OnceLock<Option<Kept>>,
}

impl Ed25519Key {
    /// The key's 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    pub(crate) const fn dalek(&self) -> &VerifyingKey {
        &self.key
    }

    /// True if the signature is this key's on the message: no key and no commitment of small order, no
    /// second form of a signature. What the table does not let pass, ed25519-dalek judges.
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        // Counts no further once there are enough, so that it cannot begin anew.
        let often = self.use_of.signatures.load(Ordering::Relaxed) >= OFTEN
            || self.use_of.signatures.fetch_add(1, Ordering::Relaxed) >= OFTEN;
        often && self.verifies_by_table(message, signature)
            || self.key.verify_strict(message, signature).is_ok()
    }

    /// The same equation as in `verify_strict`, R = sB − kA, for a key that is not weak. Both products come
    /// from tables. R is compared as bytes with what was computed, so it need not be read as a point: what it
    /// equals is canonical, and its order that of the point that was computed.
    fn verifies_by_table(&self, message: &[u8], signature: &Signature) -> bool {
        static BASE: OnceLock<Multiples> = OnceLock::new();
        let scalar: Option<Scalar> = Scalar::from_canonical_bytes(*signature.s_bytes()).into();
        let Some(s) = scalar else { return false };
        let hash = Sha512::new()
            .chain_update(signature.r_bytes())
            .chain_update(self.key.as_bytes())
            .chain_update(message)
            .finalize();
        let k = Scalar::from_bytes_mod_order_wide(&hash.into());
        let base = BASE.get_or_init(|| Multiples::of(ED25519_BASEPOINT_POINT));
        let minus = self.use_of.multiples.get_or_init(|| {
            if self.key.is_weak() { None } else { Kept::of(-self.key.to_edwards()) }
        });
        let Some(Kept(minus)) = minus else { return false };
        let mut r = EdwardsPoint::identity();
        base.add_product(&s, &mut r);
        minus.add_product(&k, &mut r);
        r.compress().as_bytes() == signature.r_bytes() && !r.is_small_order()
    }
}

impl From<VerifyingKey> for Ed25519Key {
    fn from(key: VerifyingKey) -> Self {
        Self { key, use_of: Arc::default() }
    }
}

impl PartialEq for Ed25519Key {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Ed25519Key {}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::RwLock;

    use super::*;
    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::edwards::CompressedEdwardsY;
    use ed25519_dalek::{Signer as _, SigningKey};
    use proptest::prelude::*;

    /// Held for writing by the test that uses up all tables, for reading by those that need one.
    static ROOM: RwLock<()> = RwLock::new(());

    /// What both say of a signature; they have to say the same.
    fn verdict(key: &Ed25519Key, message: &[u8], signature: &[u8; 64]) -> bool {
        let _room = ROOM.read();
        let signature = Signature::from_bytes(signature);
        let strict = key.dalek().verify_strict(message, &signature).is_ok();
        assert_eq!(key.verifies_by_table(message, &signature), strict, "{key:?} {signature:?}");
        strict
    }

    fn challenge(r: &CompressedEdwardsY, key: &CompressedEdwardsY, message: &[u8]) -> Scalar {
        let hash = Sha512::new()
            .chain_update(r.as_bytes())
            .chain_update(key.as_bytes())
            .chain_update(message)
            .finalize();
        Scalar::from_bytes_mod_order_wide(&hash.into())
    }

    #[test]
    fn tables_and_ed25519_dalek_judge_points_of_mixed_order_alike() {
        let (a, r) = (Scalar::from(0x1234_5678_u64), Scalar::from(0x9abc_def0_u64));
        let (mut held, mut refused) = (0, 0);
        for of_key in EIGHT_TORSION {
            let point = (EdwardsPoint::mul_base(&a) + of_key).compress();
            let key = VerifyingKey::from_bytes(point.as_bytes()).expect("a point");
            let key = Ed25519Key::from(key);
            for of_r in EIGHT_TORSION {
                for number in 0..16_u8 {
                    let message = [number; 40];
                    let commitment = (EdwardsPoint::mul_base(&r) + of_r).compress();
                    let s = r + challenge(&commitment, &point, &message) * a;
                    let mut signature = [0; 64];
                    signature[..32].copy_from_slice(commitment.as_bytes());
                    signature[32..].copy_from_slice(s.as_bytes());
                    match verdict(&key, &message, &signature) {
                        true => held += 1,
                        false => refused += 1,
                    }
                }
            }
        }
        // One in eight by the torsion's sum; without cofactors, the others are refused.
        assert!(held > 64 && refused > 512, "{held} and {refused}");
    }

    #[test]
    fn a_commitment_of_small_order_is_refused() {
        let a = Scalar::from(77_u64);
        let point = EdwardsPoint::mul_base(&a).compress();
        let key = Ed25519Key::from(VerifyingKey::from_bytes(point.as_bytes()).expect("a point"));
        for of_r in EIGHT_TORSION {
            let commitment = of_r.compress();
            let s = challenge(&commitment, &point, b"words") * a;
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(commitment.as_bytes());
            signature[32..].copy_from_slice(s.as_bytes());
            assert!(!verdict(&key, b"words", &signature));
        }
        // A key with a torsion, so that R can be any point of small order: R = sB − kA = −kT.
        let torsion = EIGHT_TORSION[1];
        let point = (EdwardsPoint::mul_base(&a) + torsion).compress();
        let mixed = Ed25519Key::from(VerifyingKey::from_bytes(point.as_bytes()).expect("a point"));
        let mut tried = 0;
        for of_r in &EIGHT_TORSION[1..] {
            let commitment = of_r.compress();
            let words = (0..200_u8)
                .find(|number| -(torsion * challenge(&commitment, &point, &[*number])) == *of_r);
            let Some(number) = words else { continue };
            let s = challenge(&commitment, &point, &[number]) * a;
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(commitment.as_bytes());
            signature[32..].copy_from_slice(s.as_bytes());
            assert!(!verdict(&mixed, &[number], &signature));
            tried += 1;
        }
        assert!(tried > 3, "{tried}");
        // The identity in its second form, with y = 1 + p.
        let mut signature = [0xff; 64];
        signature[0] = 0xee;
        signature[31] = 0x7f;
        let commitment = CompressedEdwardsY(signature[..32].try_into().expect("32 bytes"));
        let s = challenge(&commitment, &point, b"words") * a;
        signature[32..].copy_from_slice(s.as_bytes());
        assert!(!verdict(&key, b"words", &signature));
    }

    #[test]
    fn a_scalar_that_is_not_reduced_is_refused() {
        // The group's order L (RFC 8032 section 5.1), least byte first: s + L verifies where nobody looks.
        let order = (Scalar::ZERO - Scalar::ONE).to_bytes();
        let signing = SigningKey::from_bytes(&[9; 32]);
        let key = Ed25519Key::from(signing.verifying_key());
        let mut signature = signing.sign(b"words").to_bytes();
        assert!(verdict(&key, b"words", &signature));
        let mut carry = 1_u16;
        for (byte, order) in signature[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(order);
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        assert!(!verdict(&key, b"words", &signature));
    }

    #[test]
    fn a_weak_key_verifies_nothing() {
        for point in EIGHT_TORSION {
            let bytes = point.compress();
            let key =
                Ed25519Key::from(VerifyingKey::from_bytes(bytes.as_bytes()).expect("a point"));
            let mut signature = [0; 64];
            signature[0] = 1;
            assert!(!verdict(&key, b"words", &signature));
            let commitment = EdwardsPoint::mul_base(&Scalar::from(5_u64)).compress();
            signature[..32].copy_from_slice(commitment.as_bytes());
            signature[32] = 5;
            for number in 0..16_u8 {
                assert!(!verdict(&key, &[number], &signature));
            }
        }
    }

    #[test]
    fn a_key_that_is_used_often_still_refuses_what_is_not_its_own() {
        let _room = ROOM.read();
        let signing = SigningKey::from_bytes(&[3; 32]);
        let key = Ed25519Key::from(signing.verifying_key());
        let copy = key.clone();
        for number in 0..2 * OFTEN {
            let message = number.to_be_bytes();
            let signature = signing.sign(&message);
            assert!(copy.verifies(&message, &signature));
            assert!(!copy.verifies(&(number + 1).to_be_bytes(), &signature));
        }
        assert!(matches!(key.use_of.multiples.get(), Some(Some(_))), "its copies share the table");
    }

    #[test]
    fn there_are_no_more_tables_than_memory_is_meant_for_and_all_keys_verify() {
        let _room = ROOM.write();
        let signing =
            |number: usize| SigningKey::from_bytes(&[u8::try_from(number).expect("few"); 32]);
        let keys: Vec<_> =
            (0..MOST + 8).map(|number| Ed25519Key::from(signing(number).verifying_key())).collect();
        for (number, key) in keys.iter().enumerate() {
            let signature = signing(number).sign(b"words");
            assert!((0..=OFTEN).all(|_| key.verifies(b"words", &signature)));
        }
        let with_table = |key: &&Ed25519Key| matches!(key.use_of.multiples.get(), Some(Some(_)));
        assert!(keys.iter().filter(with_table).count() <= MOST);
        assert!(TABLES.load(Ordering::Relaxed) <= MOST);
        drop(keys);
        let key = Ed25519Key::from(signing(200).verifying_key());
        let signature = signing(200).sign(b"words");
        assert!((0..=OFTEN).all(|_| key.verifies(b"words", &signature)));
        assert!(with_table(&&key), "those that went made room");
    }

    /// Some scalars with digits at their ends: those around powers of two, and the largest.
    fn edges() -> impl Iterator<Item = Scalar> {
        let power = |bit: u32| (0..bit).fold(Scalar::ONE, |power, _| power + power);
        (0..253).flat_map(move |bit| {
            let power = power(bit);
            [power, power - Scalar::ONE, power + Scalar::ONE, -power]
        })
    }

    #[test]
    fn a_product_by_table_is_the_product() {
        let point = EdwardsPoint::mul_base(&Scalar::from(2009_u64)) + EIGHT_TORSION[1];
        let table = Multiples::of(point);
        for scalar in edges() {
            let mut sum = ED25519_BASEPOINT_POINT;
            table.add_product(&scalar, &mut sum);
            assert_eq!(sum, ED25519_BASEPOINT_POINT + point * scalar, "{scalar:?}");
        }
    }

    proptest! {
        #[test]
        fn a_product_by_table_is_the_product_for_any_scalar(bytes: [u8; 32]) {
            let scalar = Scalar::from_bytes_mod_order(bytes);
            let mut sum = EdwardsPoint::identity();
            Multiples::of(ED25519_BASEPOINT_POINT).add_product(&scalar, &mut sum);
            prop_assert_eq!(sum, EdwardsPoint::mul_base(&scalar));
        }

        #[test]
        fn tables_and_ed25519_dalek_say_the_same(
            seed: [u8; 32],
            message in proptest::collection::vec(any::<u8>(), 0..200),
            bent in proptest::collection::vec((0..64_usize, any::<u8>()), 0..3),
        ) {
            let signing = SigningKey::from_bytes(&seed);
            let key = Ed25519Key::from(signing.verifying_key());
            let mut signature = signing.sign(&message).to_bytes();
            let good = signature;
            for (at, bits) in bent {
                signature[at] ^= bits;
            }
            prop_assert_eq!(verdict(&key, &message, &signature), signature == good);
        }
    }
}
