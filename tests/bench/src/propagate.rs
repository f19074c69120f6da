//! From the federation into a member.
