#include "cli/ask_many.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "cli/command.hpp"
#include "cli/question_file.hpp"
#include "cli/wait_notice.hpp"
#include "model/file.hpp"

namespace troupe::cli {

namespace {

constexpr auto pause_between_tries = std::chrono::milliseconds(500);
constexpr int tries_max = 3;  // of a question whose conversations' homes are lost one after the other
constexpr std::size_t answers_bytes_max = std::size_t{1} << 30;
constexpr int at_once_max = 64;
constexpr int status_of_interrupt = 130;

Error cannot_write(const std::string& file) {
  return {ErrorCode::io, "cannot write to " + file + "; is there such a folder, and may it be written?"};
}

/// One command at a time adds to a file of answers; the lock ends with its process, however that ends.
class FileLock {
 public:
  /// Makes the file if there is none; only a regular one is locked.
  static Result<std::unique_ptr<FileLock>> take(const std::string& file) {
    namespace fs = std::filesystem;
    std::unique_ptr<FileLock> lock(new FileLock(file));
    std::error_code ignored;
    lock->made_ = fs::symlink_status(file, ignored).type() == fs::file_type::not_found;
    if (fs::exists(file, ignored) && !fs::is_regular_file(file, ignored)) return lock;
    lock->descriptor_ = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    // If all is answered, nothing will be written.
    if (lock->descriptor_ < 0) lock->descriptor_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (lock->descriptor_ < 0) return cannot_write(file);
    if (::flock(lock->descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return lock;  // some disks have no locks
    lock->made_ = false;
    return Error{ErrorCode::unavailable,
                 file + ": another command is adding to this file; wait until it has ended, or name another file"};
  }
  /// Removes the file if it was made here, and nothing was written to it.
  ~FileLock() {
    if (descriptor_ < 0) return;
    if (made_ && ::lseek(descriptor_, 0, SEEK_END) == 0) ::unlink(file_.c_str());
    ::close(descriptor_);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(std::string file) : file_(std::move(file)) {}

  std::string file_;
  int descriptor_ = -1;
  bool made_ = false;
};

/// Where answers go, a line each. What was written is in the file when `write` returns.
class AnswerLines {
 public:
  static Result<AnswerLines> open(const std::string& file) {
    AnswerLines lines;
    lines.name_ = file;
    if (file.empty()) return lines;
    lines.file_.emplace(file, std::ios::binary | std::ios::app);
    if (!*lines.file_) return cannot_write(file);
    return lines;
  }
  /// Says when nobody wants further ones.
  std::function<bool()> ends() const { return file_ ? std::function<bool()>() : output_unread; }
  Result<void> write(const Json& row) {
    std::ostream& out = file_ ? *file_ : std::cout;
    out << dumped(row) << std::endl;
    if (out) return {};
    return Error{ErrorCode::io, file_ ? "cannot write to " + name_ + "; is the disk full?"
                                      : "cannot write to the standard output; is the disk full, or has its reader ended?"};
  }

 private:
  std::string name_;
  std::optional<std::ofstream> file_;
};

struct Tally {
  std::size_t answered = 0;
  std::size_t unsure = 0;  ///< of the answered
  std::size_t failed = 0;
  std::string first_error;  ///< why the first of them did
};

/// Threads that take one question after the other until there is none, or something ends the whole.
class Batch {
 public:
  Batch(clients::Client client, const ConnectChoice& connect, const AskChoice& choice, std::vector<FileQuestion> questions,
        AnswerLines lines)
      : client_(std::move(client)),
        connect_(connect),
        choice_(choice),
        questions_(std::move(questions)),
        lines_(std::move(lines)),
        progress_(show_progress("asking " + std::to_string(questions_.size()) + " questions")) {}

  Result<Tally> run(int at_once, bool quiet) {
    if (!quiet) notice_.emplace(client_);
    {
      std::vector<std::jthread> workers;
      const auto count = std::min<std::size_t>(static_cast<std::size_t>(at_once), questions_.size());
      for (std::size_t worker = 0; worker < count; ++worker) workers.emplace_back([this, worker] { work(worker); });
    }
    notice_.reset();
    if (stopped_) return *stopped_;
    return tally_;
  }

 private:
  void work(std::size_t worker) {
    // Each begins with another address, so that conversations are at home on all of them.
    ConnectChoice connect = connect_;
    std::ranges::rotate(connect.addresses,
                        connect.addresses.begin() + static_cast<std::ptrdiff_t>(worker % connect.addresses.size()));
    const auto client = connect.open(lines_.ends());
    if (!client) return stop(client.error());
    while (const FileQuestion* question = next()) {
      AnswerView view(false);
      const auto answer = ask(*client, *question, view);
      const bool committed = answer && answer->end.outcome.committed;
      if (!committed && ended()) return;  // it has not failed: the whole was given up meanwhile
      keep(*question, answer, view);
    }
  }

  const FileQuestion* next() {
    const std::scoped_lock lock(mutex_);
    if (stopped_ || interrupted() || next_ == questions_.size()) return nullptr;
    return &questions_[next_++];
  }

  bool ended() {
    const std::scoped_lock lock(mutex_);
    return stopped_ || interrupted();
  }

  /// A cluster that has too much to do is asked again until the question's time is over. A conversation whose home was lost is
  /// given up for another one; that no node takes any ends the whole.
  Result<clients::Answer> ask(const clients::Client& client, const FileQuestion& question, AnswerView& view) {
    const policy::Ask asked = choice_.of(question.text);
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(asked.deadline_ms);
    for (int tries = 1;; ++tries) {
      view = AnswerView(false);
      const auto conversation = client.open();
      if (!conversation && conversation.error().code == ErrorCode::unavailable) stop(conversation.error());
      auto answer = conversation ? conversation->ask(asked, [&](const policy::TurnEvent& event) { hear(event, view); })
                                 : Result<clients::Answer>(conversation.error());
      if (answer || ended()) return answer;
      const bool overloaded = answer.error().code == ErrorCode::overloaded && std::chrono::steady_clock::now() < until;
      // A turn that ends by its deadline has an answer that says so: an Error says that nobody knows of its end.
      const bool lost = answer.error().code == ErrorCode::unavailable || answer.error().code == ErrorCode::deadline_exceeded;
      if (!overloaded && !(lost && tries < tries_max)) return answer;
      std::this_thread::sleep_for(pause_between_tries);
    }
  }

  void hear(const policy::TurnEvent& event, AnswerView& view) {
    view.take(event);
    const bool of_answer = std::holds_alternative<policy::TokensEvent>(event.what);  // would end the watch over the others
    if (notice_ && !of_answer) notice_->take(event);
  }

  void keep(const FileQuestion& question, const Result<clients::Answer>& answer, const AnswerView& view) {
    Json row{{"id", question.id}, {"question", question.text}};
    if (answer) {
      row.update(view.json(*answer));
    } else {
      row["error"] = {{"code", to_string(answer.error().code)}, {"message", answer.error().message}};
    }
    const std::scoped_lock lock(mutex_);
    const bool committed = answer && answer->end.outcome.committed;
    if (!committed && tally_.failed == 0) tally_.first_error = answer ? answer->end.outcome.message : answer.error().message;
    ++(committed ? tally_.answered : tally_.failed);
    if (committed && !answer->end.outcome.confident) ++tally_.unsure;
    if (const auto written = lines_.write(row); !written && !stopped_) stopped_ = written.error();
    progress_(static_cast<double>(tally_.answered + tally_.failed) / static_cast<double>(questions_.size()));
  }

  void stop(const Error& error) {
    const std::scoped_lock lock(mutex_);
    if (!stopped_) stopped_ = error;
  }

  clients::Client client_;  ///< is watched for what the cluster says; those who ask have their own
  const ConnectChoice& connect_;
  const AskChoice& choice_;
  std::vector<FileQuestion> questions_;
  std::optional<WaitNotice> notice_;

  std::mutex mutex_;  // guards what follows
  std::size_t next_ = 0;
  AnswerLines lines_;
  model::Progress progress_;
  Tally tally_;
  std::optional<Error> stopped_;
};

Result<std::vector<FileQuestion>> read_questions(const std::string& input, const policy::Ask& like) {
  const bool piped = input == "-";
  const std::string name = piped ? "standard input" : input;
  TROUPE_TRY(const std::string text, model::read_file(piped ? "/dev/stdin" : input, QuestionFile::bytes_max));
  TROUPE_TRY(QuestionFile file, parse_question_file(text, name, like));
  if (file.bad_lines == 0) return std::move(file.questions);
  for (const std::string& problem : file.problems) std::cerr << problem << '\n';
  if (file.bad_lines > file.problems.size()) std::cerr << "... and " << file.bad_lines - file.problems.size() << " more\n";
  return Error{ErrorCode::invalid_argument, std::to_string(file.bad_lines) + " lines of " + name +
                                                " cannot be asked, so nothing was; correct or remove them"};
}

/// Takes away the questions that the file of answers has an answer for already, and from that file what a write left undone.
Result<void> leave_out_answered(const std::string& answers, std::vector<FileQuestion>& questions) {
  std::error_code ignored;
  if (answers.empty() || !std::filesystem::is_regular_file(answers, ignored)) return {};
  TROUPE_TRY(std::string text, model::read_file(answers, answers_bytes_max));
  const std::size_t whole = without_torn_end(text);
  const bool torn = whole < text.size();
  text.resize(whole);
  TROUPE_TRY(const auto answered, answered_in(text, answers, questions));
  if (torn) {
    std::error_code error;
    std::filesystem::resize_file(answers, whole, error);
    if (error) return Error{ErrorCode::io, answers + ": cannot take away the line that was cut off: " + error.message()};
  } else if (!text.empty() && text.back() != '\n') {
    std::ofstream file(answers, std::ios::binary | std::ios::app);
    if (!(file << '\n' << std::flush)) return Error{ErrorCode::io, "cannot write to " + answers};
  }
  std::erase_if(questions, [&](const FileQuestion& question) { return answered.contains(question.id); });
  return {};
}

std::string told(const Tally& tally, std::size_t all, std::size_t before) {
  const std::size_t left = all - before - tally.answered - tally.failed;
  std::string text = std::to_string(all) + " questions: " + std::to_string(tally.answered) + " answered";
  if (tally.unsure > 0) text += " (" + std::to_string(tally.unsure) + " of them unsure)";
  if (tally.failed > 0) text += ", " + std::to_string(tally.failed) + " not answered";
  if (before > 0) text += ", " + std::to_string(before) + " answered before";
  if (left > 0) text += ", " + std::to_string(left) + " left";
  if (tally.failed > 0) text += "; the first that was not: " + tally.first_error;
  return text;
}

}  // namespace

void ManyChoice::add_to(CLI::App& command) {
  auto* file = command
                   .add_option("-i,--input", input,
                               "A file of questions instead, JSON lines: {\"question\": \"...\", \"id\": \"...\"} (id: any "
                               "text, a whole number, or none); "
                               "\"-\": the standard input. Each is asked in a conversation of its own")
                   ->group("Many questions");
  command
      .add_option(
          "--answers", answers,
          "The file that answers are added to (default: the standard output); questions that it answers already are not "
          "asked again")
      ->needs(file)
      ->group("Many questions");
  command.add_option("--at-once", at_once, "Questions under way at a time")
      ->needs(file)
      ->check(CLI::Range(1, at_once_max))
      ->capture_default_str()
      ->group("Many questions");
}

Result<int> ask_many(const ConnectChoice& connect, const AskChoice& choice, const ManyChoice& many, bool quiet) {
  std::error_code ignored;
  if (!many.answers.empty() && std::filesystem::equivalent(many.input, many.answers, ignored)) {
    return Error{ErrorCode::invalid_argument,
                 "--input and --answers are the same file; answers are added to a file of their own, name another"};
  }
  TROUPE_TRY(auto questions, read_questions(many.input, choice.of({})));
  const std::size_t all = questions.size();
  std::unique_ptr<FileLock> lock;
  if (!many.answers.empty()) {
    // Two that read it before either writes would ask everything twice.
    TROUPE_TRY(lock, FileLock::take(many.answers));
  }
  TROUPE_TRY_DO(leave_out_answered(many.answers, questions));
  const std::size_t asked = questions.size();
  Tally tally;
  if (asked > 0) {
    const bool unread = many.answers.empty();
    auto ran = [&]() -> Result<Tally> {
      TROUPE_TRY(auto client, connect.open(unread ? std::function<bool()>(output_unread) : nullptr));
      TROUPE_TRY(auto lines, AnswerLines::open(many.answers));
      Batch batch(std::move(client), connect, choice, std::move(questions), std::move(lines));
      return batch.run(many.at_once, quiet);
    }();
    if (!ran && unread && output_unread()) return status_of_unread_output;
    TROUPE_TRY(tally, std::move(ran));
  }
  if (!quiet) std::cerr << told(tally, all, all - asked) << '\n';
  if (tally.answered + tally.failed < asked) {
    std::cerr << "interrupted" << (many.answers.empty() ? "" : "; the same command goes on from here") << '\n';
    return status_of_interrupt;
  }
  return tally.failed == 0 ? 0 : 1;
}

}  // namespace troupe::cli
