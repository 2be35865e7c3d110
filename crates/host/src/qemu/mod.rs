//! QEMU system emulation. (being built)
