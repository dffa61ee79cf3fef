//! What must hold: the alphabet, the claims, the limits and the refusals of the protocol.
