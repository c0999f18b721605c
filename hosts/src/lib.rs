//! Host lists, slots and their lock files, who is disliked, which host next.
