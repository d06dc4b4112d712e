// Standard output at a program's end: a disk that is full, or a pipe that nobody reads, shows there and not before.
#pragma once

namespace kpatch {

// fails: what was printed is what the program was asked for. warns: its exit code tells what became of a machine, which a
// line that is lost doesn't change.
enum class LostOutput { fails, warns };

// The exit code, once all that was printed is written. Where it can't be, throws Error, or says so on stderr.
int after_output(int code, LostOutput lost = LostOutput::fails);

}  // namespace kpatch
