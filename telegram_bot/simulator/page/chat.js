// The chat page: reads the state once, then follows the server's events.

import { createMessage, element, nameOf, summary, updateMessage } from './render.js';

const ACTIONS = {
  typing: 'typing…', upload_video: 'sending a video…', record_video: 'recording a video…',
  upload_photo: 'sending a photo…', upload_document: 'sending a file…',
};
// Telegram shows an action for five seconds unless it is repeated.
const ACTION_MS = 5000;
const $ = (id) => document.getElementById(id);
const view = { bot: {}, users: [], chats: new Map(), open: null, replyTo: null, source: null, actionTimer: 0 };

async function call(action, fields) {
  const reply = await fetch(`/control/${action}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fields),
  });
  const body = await reply.json();
  if (!body.ok) toast(body.description);
  return body.ok ? body.result : null;
}

let toastTimer = 0;
function toast(words) {
  $('toast').textContent = words;
  $('toast').hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $('toast').hidden = true; }, 4000);
}

// chats

function entryFor(chat) {
  if (!view.chats.has(chat.id)) view.chats.set(chat.id, { chat, messages: new Map(), loaded: false, preview: '', unread: 0 });
  const entry = view.chats.get(chat.id);
  entry.chat = chat;
  if (!entry.preview && chat.last_message) entry.preview = summary(chat.last_message);
  return entry;
}

function paintAvatar(node, name, id) {
  node.textContent = [...name.trim()][0]?.toUpperCase() || '?';
  node.dataset.colour = Math.abs(id) % 6;
}

function drawList() {
  $('chat-list').replaceChildren(...[...view.chats.values()].map((entry) => {
    const name = nameOf(entry.chat);
    const button = element('button', 'chat');
    button.type = 'button';
    button.dataset.chatId = entry.chat.id;
    if (view.open === entry.chat.id) button.setAttribute('aria-current', 'true');
    const avatar = element('span', 'avatar');
    avatar.setAttribute('aria-hidden', 'true');
    paintAvatar(avatar, name, entry.chat.id);
    const lines = element('span', 'lines');
    lines.append(element('strong', '', name), element('span', 'preview', entry.preview || 'No messages yet'));
    button.append(avatar, lines);
    if (entry.unread) button.append(element('span', 'unread', `${entry.unread}`));
    button.addEventListener('click', () => openChat(entry.chat.id));
    const item = element('li');
    item.append(button);
    return item;
  }));
}

function drawHead() {
  const entry = view.chats.get(view.open);
  const isPrivate = entry?.chat.type === 'private';
  const name = entry ? nameOf(isPrivate ? view.bot : entry.chat) : 'No chat';
  $('title').textContent = name;
  paintAvatar($('avatar'), name, isPrivate ? 0 : view.open || 0);
  setStatus('');
}

function setStatus(action) {
  const entry = view.chats.get(view.open);
  const quiet = !entry ? '' : entry.chat.type === 'private' ? `bot · you are ${nameOf(entry.chat)}` : entry.chat.type;
  $('status').textContent = action ? ACTIONS[action] || 'busy…' : quiet;
  $('status').classList.toggle('busy', Boolean(action));
  clearTimeout(view.actionTimer);
  if (action) view.actionTimer = setTimeout(() => setStatus(''), ACTION_MS);
}

async function openChat(id, focus = true) {
  view.open = id;
  view.chats.get(id).unread = 0;
  history.replaceState(null, '', `#${id}`);
  document.body.classList.add('in-chat');
  noReply();
  showKeys(view.chats.get(id).chat.keyboard);
  drawHead();
  drawList();
  $('messages').replaceChildren();
  const entry = view.chats.get(id);
  if (!entry.loaded) {
    const reply = await fetch(`/control/messages/${id}`);
    for (const message of await reply.json()) entry.messages.set(message.message.message_id, message);
    entry.loaded = true;
  }
  if (view.open !== id) return;
  for (const message of entry.messages.values()) drawMessage(message);
  toEnd();
  if (focus) $('composer').focus();
}

// messages

const actions = {
  isMine: (data) => data.from?.id === sender(data.chat),
  async press(message, data, button) {
    button.classList.add('waiting');
    const user = sender(message.chat);
    const done = await call('press', { chat_id: message.chat.id, message_id: message.message_id, button: data, user_id: user });
    if (!done) button.classList.remove('waiting');
  },
  say: (words) => say(words),
  answer(data) {
    view.replyTo = data.message_id;
    $('replying-text').textContent = summary(data);
    $('replying').hidden = false;
    $('composer').focus();
  },
  show(messageId) {
    const row = rowOf(messageId);
    row?.scrollIntoView({ block: 'center', behavior: 'smooth' });
    row?.classList.add('flash');
    setTimeout(() => row?.classList.remove('flash'), 1200);
  },
  grown() { if (view.atEnd) toEnd(); },
};

function rowOf(messageId) {
  return $('messages').querySelector(`[data-message-id="${Number(messageId)}"]`);
}

function drawMessage(entry) {
  if (entry.deleted) return;
  const id = entry.message.message_id;
  let row = rowOf(id);
  if (!row) {
    row = createMessage();
    const after = [...$('messages').children].find((other) => Number(other.dataset.messageId) > id);
    $('messages').insertBefore(row, after || null);
  }
  updateMessage(row, entry, actions);
}

function toEnd() {
  $('scroll').scrollTop = $('scroll').scrollHeight;
  view.atEnd = true;
}

function onMessage(event) {
  const chat = view.chats.get(event.chat_id) || entryFor(event.entry.message.chat);
  const id = event.entry.message.message_id;
  const isNew = !chat.messages.has(id);
  chat.messages.set(id, event.entry);
  chat.preview = summary(event.entry.message);
  if (view.open === event.chat_id) {
    const follow = view.atEnd || !event.entry.from_bot;
    drawMessage(event.entry);
    if (event.entry.from_bot) setStatus('');
    if (follow) toEnd();
  } else if (isNew && event.entry.from_bot) {
    chat.unread += 1;
  }
  drawList();
}

function onDeleted(event) {
  const entry = view.chats.get(event.chat_id)?.messages.get(event.message_id);
  if (entry) entry.deleted = true;
  if (view.open === event.chat_id) rowOf(event.message_id)?.remove();
}

function onAnswer(event) {
  for (const button of rowOf(event.message_id)?.querySelectorAll('.waiting') || []) button.classList.remove('waiting');
  if (event.chat_id === view.open && event.answer.text) toast(event.answer.text);
}

// the keyboard a bot puts in place of the person's own

function onKeyboard(event) {
  const entry = view.chats.get(event.chat_id);
  if (entry) entry.chat.keyboard = event.keyboard;
  if (event.chat_id === view.open) showKeys(event.keyboard);
}

function showKeys(keyboard) {
  const rows = keyboard?.keyboard || [];
  $('keys').hidden = !rows.length;
  $('keys').replaceChildren(...rows.map((row) => {
    const line = element('div', 'line');
    for (const key of row) {
      const words = key.text || key;
      const button = element('button', '', words);
      button.type = 'button';
      button.addEventListener('click', () => { say(words); if (keyboard.one_time_keyboard) onKeyboard({ chat_id: view.open, keyboard: null }); });
      line.append(button);
    }
    return line;
  }));
}

// typing

function sender(chat) {
  return chat.type === 'private' ? chat.id : view.users[0]?.id || 1001;
}

async function say(words) {
  const entry = view.chats.get(view.open);
  if (!entry || !words.trim()) return false;
  const fields = { chat_id: view.open, text: words, user_id: sender(entry.chat) };
  if (view.replyTo) fields.reply_to = view.replyTo;
  noReply();
  return call('say', fields);
}

function noReply() {
  view.replyTo = null;
  $('replying').hidden = true;
}

function fit() {
  const box = $('composer');
  box.style.height = 'auto';
  box.style.height = `${Math.min(box.scrollHeight, 160)}px`;
}

async function submit() {
  const box = $('composer');
  const words = box.value.trim();
  if (!words) return;
  box.value = '';
  fit();
  if (!(await say(words))) { box.value = words; fit(); }
}

async function newChat() {
  const taken = Math.max(1000, ...view.users.map((user) => user.id), ...view.chats.keys());
  const id = taken + 1;
  await call('user', { user_id: id, first_name: view.users.length ? `Person ${id - 1000}` : 'You' });
  const chat = await call('chat', { chat_id: id });
  if (chat) { await load(); openChat(id); }
}

// the server

async function load() {
  const state = await (await fetch('/control/state')).json();
  view.bot = state.bot;
  view.users = state.users;
  for (const id of [...view.chats.keys()]) if (!state.chats.some((chat) => chat.id === id)) view.chats.delete(id);
  for (const chat of state.chats) entryFor(chat);
  return state.sequence;
}

// A page that is loaded while the server is away tries until it is back.
function start() {
  restart().catch(() => {
    $('status').textContent = 'reconnecting…';
    setTimeout(start, 500);
  });
}

async function restart() {
  view.source?.close();
  view.chats.clear();
  const since = await load();
  const wanted = Number(location.hash.slice(1));
  const first = view.chats.has(wanted) ? wanted : view.chats.keys().next().value;
  drawList();
  if (first === undefined) {
    view.open = null;
    $('messages').replaceChildren();
    drawHead();
  } else {
    await openChat(first);
  }
  follow(since);
}

function follow(since) {
  view.source = new EventSource(`/control/events?since=${since}`);
  view.source.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.type === 'message') onMessage(event);
    else if (event.type === 'deleted') onDeleted(event);
    else if (event.type === 'chat') { entryFor(event.about); drawList(); if (view.open === null) openChat(event.chat_id); }
    else if (event.type === 'action' && event.chat_id === view.open) setStatus(event.action);
    else if (event.type === 'answer') onAnswer(event);
    else if (event.type === 'keyboard') onKeyboard(event);
    else if (event.type === 'reset') start();
  };
  view.source.onerror = () => { $('status').textContent = 'reconnecting…'; };
  view.source.onopen = () => setStatus('');
}

$('form').addEventListener('submit', (event) => { event.preventDefault(); submit(); });
$('composer').addEventListener('input', fit);
$('composer').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); submit(); }
  if (event.key === 'Escape') noReply();
});
$('no-reply').addEventListener('click', noReply);
$('new-chat').addEventListener('click', newChat);
$('back').addEventListener('click', () => document.body.classList.remove('in-chat'));
$('scroll').addEventListener('scroll', () => {
  view.atEnd = $('scroll').scrollHeight - $('scroll').scrollTop - $('scroll').clientHeight < 60;
});

start();
