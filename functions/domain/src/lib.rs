//! The rules: quota, acceptance, delivery, channels. No AWS, no async, no clock, no environment.
