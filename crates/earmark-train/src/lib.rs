//! Trains sound taggers.
