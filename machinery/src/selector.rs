//! See the module's tests for behaviour.
