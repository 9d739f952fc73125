#include "cli/line_editor.hpp"

#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <utility>

namespace troupe::cli {

class LineEditor::Terminal {
 public:
  Terminal(std::string prompt, std::filesystem::path file) : prompt_(std::move(prompt)), file_(std::move(file)) {
    std::setlocale(LC_CTYPE, "");  // so that letters of several bytes are one step of the cursor
    edit_ = el_init("troupe", stdin, stdout, stderr);
    history_ = history_init();
    if (edit_ == nullptr || history_ == nullptr) return;
    HistEvent event;
    history(history_, &event, H_SETSIZE, history_lines_max);
    history(history_, &event, H_SETUNIQUE, 1);
    if (!file_.empty()) history(history_, &event, H_LOAD, file_.c_str());
    el_set(edit_, EL_CLIENTDATA, this);
    el_set(
        edit_, EL_PROMPT, +[](EditLine* edit) {
          void* self = nullptr;
          el_get(edit, EL_CLIENTDATA, &self);
          return static_cast<Terminal*>(self)->prompt_.data();
        });
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_HIST, history, history_);
    el_source(edit_, nullptr);  // ~/.editrc
  }

  ~Terminal() {
    if (history_ != nullptr) {
      HistEvent event;
      if (!file_.empty() && history(history_, &event, H_SAVE, file_.c_str()) >= 0) ::chmod(file_.c_str(), S_IRUSR | S_IWUSR);
      history_end(history_);
    }
    if (edit_ != nullptr) el_end(edit_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  bool works() const { return edit_ != nullptr && history_ != nullptr; }

  End read(std::string& line) {
    int count = 0;
    errno = 0;
    const char* text = el_gets(edit_, &count);
    if (text == nullptr || count <= 0) return errno == EINTR ? End::interrupted : End::closed;
    line.assign(text, static_cast<std::size_t>(count));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    if (line.find_first_not_of(" \t") != std::string::npos) {
      HistEvent event;
      history(history_, &event, H_ENTER, line.c_str());
    }
    return End::line;
  }

 private:
  std::string prompt_;
  std::filesystem::path file_;
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
};

LineEditor::LineEditor(std::string prompt, std::filesystem::path history) {
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) return;
  auto terminal = std::make_unique<Terminal>(std::move(prompt), std::move(history));
  if (terminal->works()) terminal_ = std::move(terminal);
}

LineEditor::~LineEditor() = default;

LineEditor::End LineEditor::read(std::string& line) {
  if (terminal_) return terminal_->read(line);
  line.clear();
  char byte = 0;
  // What is over the limit is left for the next line, which nobody will take for a question.
  while (line.size() < line_bytes_max && std::cin.get(byte)) {
    if (byte == '\n') return End::line;
    line.push_back(byte);
  }
  return line.empty() ? End::closed : End::line;
}

std::filesystem::path state_folder() {
  namespace fs = std::filesystem;
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  if ((state == nullptr || *state == 0) && (home == nullptr || *home == 0)) return {};
  const fs::path folder = (state != nullptr && *state != 0 ? fs::path(state) : fs::path(home) / ".local/state") / "troupe";
  std::error_code problem;
  if (fs::create_directories(folder, problem)) fs::permissions(folder, fs::perms::owner_all, problem);
  return fs::is_directory(folder, problem) ? folder : fs::path();
}

}  // namespace troupe::cli
