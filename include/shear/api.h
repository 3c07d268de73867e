// What the shared library exports.
#pragma once

// On the namespace of every public header: what is declared there can be used from outside; all else is compiled
// hidden, the kernels first of all.  It says the same to who builds the library and to who uses it, so that the type of
// an exception is one type on both sides.
#define SHEAR_API [[gnu::visibility("default")]]
