//! AES-128 that always computes as many blocks at once as the processor's word has room for.
//!
//! Without AES instructions, `aes` has two cores: one for a word of two blocks or more, and one for
//! a single block. A device that never uses the second has no need of its 1.5 KiB. A block that is
//! alone, of which a packet has four, takes as long as two.

use aes_gcm::AesGcm;
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aes::cipher::common::{BlockSizeUser, KeyInit, KeySizeUser};
use aes_gcm::aes::cipher::inout::InOut;
use aes_gcm::aes::cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, Key, ParBlocks,
    ParBlocksSizeUser,
};

pub(super) struct Aes128(aes_gcm::aes::Aes128);

pub(super) type Aes128Gcm = AesGcm<Aes128, U12>;

impl BlockSizeUser for Aes128 {
    type BlockSize = U16;
}

impl KeySizeUser for Aes128 {
    type KeySize = U16;
}

impl KeyInit for Aes128 {
    fn new(key: &Key<Self>) -> Self {
        Self(aes_gcm::aes::Aes128::new(key))
    }
}

impl BlockCipherEncrypt for Aes128 {
    fn encrypt_with_backend(&self, user: impl BlockCipherEncClosure<BlockSize = U16>) {
        self.0.encrypt_with_backend(Wrapped(user));
    }
}

/// What uses the cipher, and gets it wrapped.
struct Wrapped<U>(U);

impl<U: BlockCipherEncClosure<BlockSize = U16>> BlockSizeUser for Wrapped<U> {
    type BlockSize = U16;
}

impl<U: BlockCipherEncClosure<BlockSize = U16>> BlockCipherEncClosure for Wrapped<U> {
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        self.0.call(&Parallel(backend));
    }
}

/// A core of `aes`, of which only the part for several blocks is used.
struct Parallel<'b, B>(&'b B);

impl<B: BlockCipherEncBackend<BlockSize = U16>> BlockSizeUser for Parallel<'_, B> {
    type BlockSize = U16;
}

impl<B: BlockCipherEncBackend<BlockSize = U16>> ParBlocksSizeUser for Parallel<'_, B> {
    type ParBlocksSize = B::ParBlocksSize;
}

impl<B: BlockCipherEncBackend<BlockSize = U16>> BlockCipherEncBackend for Parallel<'_, B> {
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let mut blocks = ParBlocks::<B>::default();
        if let Some(first) = blocks.first_mut() {
            *first = block.clone_in();
        }
        self.encrypt_par_blocks((&mut blocks).into());
        if let Some(first) = blocks.first() {
            *block.get_out() = *first;
        }
    }

    #[inline(never)]
    fn encrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        self.0.encrypt_par_blocks(blocks);
    }
}
