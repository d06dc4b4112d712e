// Showing what happens
//
// On a terminal a stage is one line that is drawn over until the stage ends:
//
//     compile [=========>          ] 3/7
//     - compile: 3 objects                                  2.1 s
//
// In a pipe only the ended stage is written, as `compile: 3 objects … 2.1 s`: a log without control characters, in
// which each line is final. Warnings that come while a stage's line is drawn wipe it, and it is drawn again below.
#include "support/console.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>

namespace kpatch {
namespace {

constexpr const char* wipe = "\r\x1b[K";
constexpr auto redraw_interval = std::chrono::milliseconds(100);

bool wants_colour(int fd) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return isatty(fd) && !(no_colour && *no_colour) && !(terminal && std::string_view(terminal) == "dumb");
}

std::string seconds_since(std::chrono::steady_clock::time_point start) {
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  return time.count() < 60
             ? fmt::format("{:.1f} s", time.count())
             : fmt::format("{} min {:02} s", static_cast<int>(time.count()) / 60, static_cast<int>(time.count()) % 60);
}

std::string bar(size_t done, size_t total) {
  constexpr size_t width = 24;
  const size_t filled = total == 0 ? width : std::min(width, done * width / total);
  std::string text = "[" + std::string(filled, '=');
  if (filled < width) text += ">" + std::string(width - filled - 1, ' ');
  return text + fmt::format("] {}/{}", done, total);
}

}  // namespace

Console::Console(unsigned verbosity)
    : verbosity_(verbosity),
      terminal_(isatty(STDOUT_FILENO)),
      colour_(wants_colour(STDOUT_FILENO)),
      colour_errors_(wants_colour(STDERR_FILENO)) {}

std::string Console::paint(bool on, std::string_view code, std::string_view text) const {
  return on ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

void Console::say(std::FILE* to, std::string_view text) {
  if (terminal_ && stage_) {
    std::fputs(wipe, stdout);
    std::fflush(stdout);
  }
  std::fwrite(text.data(), 1, text.size(), to);
  if (text.empty() || text.back() != '\n') std::fputc('\n', to);
  std::fflush(to);
  if (stage_) draw(*stage_);
}

void Console::draw(Stage& stage) {
  if (!terminal_) return;
  fmt::print("{}  {} {}", wipe, stage.name_, stage.bar_.empty() ? stage.note_ : stage.bar_);
  std::fflush(stdout);
  stage.drawn_ = std::chrono::steady_clock::now();
}

void Console::info(std::string_view text) { say(stdout, text); }

// Messages that point into a file carry the kind behind the place: "fs/proc/cmdline.c:12: error: …".
std::string Console::with_kind(std::string_view kind, std::string_view colour, std::string_view text) const {
  const size_t at = text.substr(0, text.find('\n')).find(kind);
  if (at == std::string_view::npos) return paint(colour_errors_, colour, kind) + std::string(text);
  return std::string(text.substr(0, at)) + paint(colour_errors_, colour, kind) +
         std::string(text.substr(at + kind.size()));
}

void Console::warning(std::string_view text) { say(stderr, with_kind("warning: ", "1;33", text)); }

void Console::error(std::string_view text) { say(stderr, with_kind("error: ", "1;31", text)); }

void Console::debug(std::string_view text) {
  if (verbosity_ > 0) say(stderr, text);
}

void Console::command(std::string_view line) {
  if (verbosity_ > 1) say(stderr, "$ " + std::string(line));
}

Console::Stage::Stage(Console& console, std::string name)
    : console_(console),
      name_(std::move(name)),
      start_(std::chrono::steady_clock::now()),
      exceptions_(std::uncaught_exceptions()) {
  outer_ = console_.stage_;
  console_.stage_ = this;
  console_.draw(*this);
}

Console::Stage::~Stage() {
  console_.stage_ = outer_;
  const bool failed = std::uncaught_exceptions() > exceptions_;
  const std::string time = seconds_since(start_);
  if (console_.terminal_) {
    const std::string_view mark = failed ? "x" : "-";
    const std::string note = failed ? "failed" : note_;
    fmt::print("{}{} {:<62} {:>12}\n", wipe, console_.paint(console_.colour_, failed ? "1;31" : "1;32", mark),
               name_ + (note.empty() ? "" : ": ") + note, time);
  } else {
    fmt::print("{}{}{} … {}\n", name_, note_.empty() ? "" : ": ", note_, failed ? "failed" : time);
  }
  std::fflush(stdout);
  if (outer_) console_.draw(*outer_);
}

void Console::Stage::progress(size_t done, size_t total) {
  bar_ = bar(done, total);
  if (done >= total || std::chrono::steady_clock::now() - drawn_ > redraw_interval) console_.draw(*this);
}

void Console::Stage::note(std::string text) {
  note_ = std::move(text);
  console_.draw(*this);
}

}  // namespace kpatch
