// What a person sees: one line a stage with its time, a progress bar where a stage is long (on a terminal), plain
// lines in a pipe.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

namespace kpatch {

class Console {
 public:
  explicit Console(unsigned verbosity);  // 0 normal, 1 what is noticed as well, 2 every command

  // One stage at a time: begin prints (terminal) the name, end its time. A stage that throws ends as failed.
  class Stage {
   public:
    Stage(Console& console, std::string name);
    ~Stage();
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;
    void progress(size_t done, size_t total);  // a bar on a terminal; nothing in a pipe
    void note(std::string text);               // shown behind the stage's name: "2 objects", "cached"

   private:
    friend class Console;
    Console& console_;
    std::string name_;
    std::string note_;
    std::chrono::steady_clock::time_point start_;
    std::chrono::steady_clock::time_point drawn_{};
    std::string bar_;
    int exceptions_;
    Stage* outer_ = nullptr;
  };

  // All of them may be called while a stage runs. Texts of several lines are fine.
  void info(std::string_view text);     // stdout
  void warning(std::string_view text);  // stderr, "warning: " before it, unless the text names the kind itself
  void error(std::string_view text);    // stderr, "error: " before it, unless the text names the kind itself
  void debug(std::string_view text);    // stderr; shown from verbosity 1
  void command(std::string_view line);  // stderr, "$ " before it; shown from verbosity 2

 private:
  friend class Stage;
  void say(std::FILE* to, std::string_view text);
  void draw(Stage& stage);
  std::string with_kind(std::string_view kind, std::string_view colour, std::string_view text) const;
  std::string paint(bool on, std::string_view code, std::string_view text) const;

  unsigned verbosity_;
  bool terminal_;  // stdout is one
  bool colour_;
  bool colour_errors_;
  Stage* stage_ = nullptr;
};

}  // namespace kpatch
