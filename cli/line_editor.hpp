// Lines that a person types: edited and remembered on a terminal, plain elsewhere. The only user of libedit.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace troupe::cli {

class LineEditor {
 public:
  static constexpr int history_lines_max = 1000;
  static constexpr std::size_t line_bytes_max = std::size_t{1} << 20;

  enum class End { line, interrupted, closed };

  /// `history`: where lines are kept between runs; a file that cannot be read or written is no error, what was typed is then
  /// forgotten.
  LineEditor(std::string prompt, std::filesystem::path history);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  /// Whether a person is at the other end.
  bool on_terminal() const { return terminal_ != nullptr; }
  /// The next line, without its end. `interrupted`: by a signal whose handler came back (Ctrl-C); `closed`: Ctrl-D or the end.
  End read(std::string& line);

 private:
  class Terminal;

  std::unique_ptr<Terminal> terminal_;
};

/// $XDG_STATE_HOME/troupe, or ~/.local/state/troupe; made if it is not there. Empty if there is no home.
std::filesystem::path state_folder();

}  // namespace troupe::cli
