// What a person sees: one line a stage with its time, a progress bar where a stage is long (on a terminal), plain
// lines in a pipe.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace kpatch {

class Console {
 public:
  explicit Console(unsigned verbosity);  // 0 normal; more with each --debug

  // One stage at a time: begin prints (terminal) the name, end its time. A stage that throws ends as failed.
  class Stage {
   public:
    Stage(Console& console, std::string name);
    ~Stage();
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;
    void progress(size_t done, size_t total);     // a bar on a terminal; nothing in a pipe
    void note(std::string text);                  // shown behind the stage's name: "2 objects", "cached"

   private:
    Console& console_;
    std::string name_;
    std::string note_;
    std::chrono::steady_clock::time_point start_;
    int exceptions_;
  };

  void info(std::string_view text);
  void warning(std::string_view text);
  void error(std::string_view text);
  void debug(std::string_view text);   // shown from verbosity 1

 private:
  friend class Stage;
  unsigned verbosity_;
  bool terminal_;
};

}  // namespace kpatch
